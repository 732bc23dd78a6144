package main

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// placeForm is how the URL of a backend is written.
type placeForm struct {
	example string
	backend string
	// settings are what a URL comes to. Its parameters are not among them: they are the backend's other settings, without
	// its name before them, so that ?prefix=x of etcd is etcd-prefix.
	settings func(address string) map[string]string
	// own says that parameters are the address's own affair: it goes whole to settings.
	own bool
}

// placeForms is the form of each backend, by the URL's scheme.
func placeForms() map[string]placeForm {
	addressIn := func(name string) func(string) map[string]string {
		return func(address string) map[string]string { return map[string]string{name: address} }
	}
	forms := map[string]placeForm{
		"embedded": {example: "embedded:///path/to/data", backend: "embedded", settings: func(address string) map[string]string {
			return map[string]string{"data-dir": strings.TrimPrefix(strings.TrimPrefix(address, "embedded:"), "//")}
		}},
		"etcd": {example: "etcd://host:port,host:port/prefix", backend: "etcd", settings: func(address string) map[string]string {
			hosts, prefix, _ := strings.Cut(strings.TrimPrefix(address, "etcd://"), "/")
			settings := map[string]string{"etcd-endpoints": hosts}
			if prefix != "" {
				settings["etcd-prefix"] = prefix
			}
			return settings
		}},
		"memory":     {example: "memory:", backend: "memory", settings: func(string) map[string]string { return map[string]string{} }},
		"nats":       {example: "nats://host:port,host:port", backend: "nats", settings: addressIn("nats-url")},
		"postgres":   {example: "postgres://user@host/database", backend: "postgres", settings: addressIn("postgres-url"), own: true},
		"postgresql": {example: "postgresql://user@host/database", backend: "postgres", settings: addressIn("postgres-url"), own: true},
	}
	maps.DeleteFunc(forms, func(_ string, f placeForm) bool { return openers()[f.backend] == nil })
	return forms
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
	if form.own {
		address, query = u, ""
	}
	values := form.settings(address)
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
