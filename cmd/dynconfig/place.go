package main

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// placeForm is how the URL of a backend is written. Its address becomes settings, and its parameters are the backend's
// other settings, without the prefix: ?prefix=x of etcd is etcd-prefix.
type placeForm struct {
	example string
	backend string
	address func(address string) map[string]string
}

// placeForms is the form of each backend of openers, by the URL's scheme.
func placeForms() map[string]placeForm {
	return map[string]placeForm{
		"embedded": {"embedded:///path/to/data", "embedded", func(u string) map[string]string {
			return map[string]string{"data-dir": strings.TrimPrefix(strings.TrimPrefix(u, "embedded:"), "//")}
		}},
		"etcd": {"etcd://host:port,host:port/prefix", "etcd", func(u string) map[string]string {
			hosts, prefix, found := strings.Cut(strings.TrimPrefix(u, "etcd://"), "/")
			values := map[string]string{"etcd-endpoints": hosts}
			if found && prefix != "" {
				values["etcd-prefix"] = prefix
			}
			return values
		}},
		"memory": {"memory:", "memory", func(string) map[string]string { return map[string]string{} }},
	}
}

// settingsAt reads the URL of a backend. Its errors never repeat it: a password may stand in it.
func settingsAt(u string) (Settings, error) {
	var s Settings
	scheme, _, found := strings.Cut(u, ":")
	form, known := placeForms()[scheme]
	if !found || !known {
		var examples []string
		for _, scheme := range slices.Sorted(maps.Keys(placeForms())) {
			examples = append(examples, placeForms()[scheme].example)
		}
		return s, failf("This build has no backend of that URL; its backends are %s", strings.Join(examples, ", "))
	}
	address, query, _ := strings.Cut(u, "?")
	values := form.address(address)
	for _, value := range values {
		if value == "" {
			return s, failf("URL is not such as %s", form.example)
		}
	}
	parameters, err := s.parameters(form.backend, values, query)
	if err != nil {
		return s, failf("URL such as %s %v", form.example, err)
	}
	maps.Copy(values, parameters)
	for _, row := range s.table() {
		value, given := values[row.name]
		if !given {
			value = row.def
		}
		if err := row.parse(value); err != nil {
			return s, failf("URL such as %s: %s %v", form.example, row.name, err)
		}
	}
	s.Backend = form.backend
	return s, s.check()
}

// parameters reads the part of a URL after the question mark. Those of a backend are its settings that are not in the
// address.
func (s *Settings) parameters(backend string, address map[string]string, query string) (map[string]string, error) {
	values := map[string]string{}
	given, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("has parameters that cannot be read")
	}
	var known []string
	for _, row := range s.table() {
		name, own := strings.CutPrefix(row.name, backend+"-")
		if _, there := address[row.name]; !own || there {
			continue
		}
		known = append(known, name)
		if given.Has(name) {
			values[row.name] = given.Get(name)
			given.Del(name)
		}
	}
	for name := range given {
		if len(known) == 0 {
			return nil, fmt.Errorf("takes no parameters: %s is unknown", name)
		}
		return nil, fmt.Errorf("has an unknown parameter %s; it takes %s", name, strings.Join(known, ", "))
	}
	return values, nil
}
