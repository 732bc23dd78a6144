package policy

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// maxRecordedInput is about how long an input may be in a record. The longest lists of a longer one are left out.
const maxRecordedInput = 64 << 10

// recordedInput is the document that a policy sees, as JSON.
type recordedInput struct {
	Subject struct {
		Username string          `json:"username"`
		Claims   json.RawMessage `json:"claims,omitempty"`
	} `json:"subject"`
	Action      core.Action `json:"action"`
	Environment string      `json:"environment"`
	Resource    struct {
		Kind          core.Kind       `json:"kind"`
		Key           string          `json:"key"`
		Namespaces    []string        `json:"namespaces"`
		Exists        bool            `json:"exists"`
		ACLs          *recordedACL    `json:"acls"`
		NamespaceACLs []*recordedLink `json:"namespace_acls"`
	} `json:"resource"`
	Request struct {
		Operation string   `json:"operation"`
		Changes   []string `json:"changes"`
		Time      string   `json:"time"`
		Address   string   `json:"address"`
	} `json:"request"`
}

type recordedLink struct {
	Namespace string       `json:"namespace"`
	ACLs      *recordedACL `json:"acls"`
}

type recordedACL struct {
	Read  *recordedList `json:"read,omitempty"`
	Write *recordedList `json:"write,omitempty"`
	Admin *recordedList `json:"admin,omitempty"`
}

// recordedList is a list as listTerm makes it.
type recordedList struct {
	Any      bool            `json:"any"`
	Names    map[string]bool `json:"names"`
	Prefixes []string        `json:"prefixes"`
}

func newRecordedList(list []string) *recordedList {
	l := &recordedList{Names: map[string]bool{}, Prefixes: []string{}}
	for _, entry := range list {
		prefix, wildcard := strings.CutSuffix(entry, "*")
		switch {
		case !wildcard:
			l.Names[entry] = true
		case prefix == "":
			l.Any = true
		default:
			l.Prefixes = append(l.Prefixes, prefix)
		}
	}
	return l
}

// input writes what the policy saw, and names what was left out by JSON pointers into the record.
func (p *pending) input() (_ json.RawMessage, erased []string) {
	var in recordedInput
	var l longParts
	in.Subject.Username, in.Action, in.Environment = p.username, p.ask.Action, p.ask.Environment
	res, req := &in.Resource, &in.Request
	res.Kind, res.Key, res.Exists = p.ask.Kind, p.ask.Key, p.ask.Exists
	res.Namespaces = append([]string{}, core.Namespaces(p.ask.Key)...)
	res.ACLs = l.of(p.ask.ACL, "/input/resource/acls")
	res.NamespaceACLs = []*recordedLink{}
	if p.ask.Chain != nil {
		for i, link := range p.ask.Chain.Links {
			acls := l.of(link.Rules, "/input/resource/namespace_acls/"+strconv.Itoa(i)+"/acls")
			res.NamespaceACLs = append(res.NamespaceACLs, &recordedLink{link.Namespace, acls})
		}
	}
	req.Operation, req.Changes, req.Address = p.ask.Operation, changeNames(p.ask.Changes), p.ask.Address
	req.Time = p.ask.Time.UTC().Format(time.RFC3339Nano)
	l = append(l, longPart{path: "/input/subject/claims", size: len(p.claims), keep: func() { in.Subject.Claims = p.claims }})
	erased = l.keep(maxRecordedInput)
	if p.claims == nil { // they were no JSON
		erased = append(erased, "/input/subject/claims")
	}
	return asJSON(in), erased
}

// longParts are the parts of an input that may be long.
type longParts []longPart

type longPart struct {
	path string
	size int
	keep func() // puts it into the input
}

// of returns the ACL of rules without its lists, which are noted.
func (l *longParts) of(r *core.Rules, path string) *recordedACL {
	if r == nil {
		return nil
	}
	acl := &recordedACL{}
	for _, part := range []struct {
		name string
		list []string
		into **recordedList
	}{{"read", r.ACL.Read, &acl.Read}, {"write", r.ACL.Write, &acl.Write}, {"admin", r.ACL.Admin, &acl.Admin}} {
		if part.list == nil {
			continue
		}
		size := len(`"admin":{"any":false,"names":{},"prefixes":[]},`)
		for _, entry := range part.list {
			size += len(entry) + len(`"":true,`)
		}
		*l = append(*l, longPart{path + "/" + part.name, size, func() { *part.into = newRecordedList(part.list) }})
	}
	return acl
}

// keep puts the parts into the input, but for the longest if they are too long together, and returns the paths of those.
func (l longParts) keep(most int) (erased []string) {
	total := 0
	for _, part := range l {
		total += part.size
	}
	slices.SortStableFunc(l, func(a, b longPart) int { return cmp.Compare(b.size, a.size) })
	for _, part := range l {
		if total > most {
			total -= part.size
			erased = append(erased, part.path)
		} else {
			part.keep()
		}
	}
	return erased
}

func changeNames(set core.Changes) []string {
	names := []string{}
	for i, name := range []string{"value", "ttl", "acls", "schema"} {
		if set&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}
