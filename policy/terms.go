package policy

import (
	"strings"

	"github.com/maypok86/otter/v2"
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/dynconfig/dynconfig/core"
)

// terms keeps the policy's form of ACLs and chains, built once for each. Core gives every content an identity that is never
// used again, for rules and chains alike, so that the identity serves as the key and nothing keeps dead rules alive. What
// is kept is bounded by the entries of the lists.
type terms struct {
	cache *otter.Cache[uint64, weighed]
	words *words
}

type weighed struct {
	term   *ast.Term
	weight uint32
}

func newTerms(maxEntries uint64) *terms {
	return &terms{
		cache: otter.Must(&otter.Options[uint64, weighed]{
			MaximumWeight: maxEntries,
			Weigher:       func(_ uint64, w weighed) uint32 { return w.weight },
			Executor:      inline,
		}),
		words: newWords(),
	}
}

// rules is an item's acls: null without any, and without the lists that were not set.
func (t *terms) rules(r *core.Rules) *ast.Term {
	if r == nil {
		return ast.InternedNullTerm
	}
	return t.ofRules(r).term
}

func (t *terms) ofRules(r *core.Rules) weighed {
	return t.once(r.ID(), func() weighed {
		var lists [][2]*ast.Term
		for _, l := range []struct {
			name string
			list []string
		}{{"read", r.ACL.Read}, {"write", r.ACL.Write}, {"admin", r.ACL.Admin}} {
			if l.list != nil {
				lists = append(lists, ast.Item(ast.InternedTerm(l.name), listTerm(l.list)))
			}
		}
		entries := len(r.ACL.Read) + len(r.ACL.Write) + len(r.ACL.Admin)
		return weighed{ast.ObjectTerm(lists...), uint32(1 + entries)}
	})
}

// chain is an item's namespace_acls, outermost first.
func (t *terms) chain(c *core.Chain) *ast.Term {
	if c == nil {
		return ast.InternedEmptyArray
	}
	return t.once(c.ID(), func() weighed {
		links, weight := make([]*ast.Term, len(c.Links)), uint32(1)
		for i, l := range c.Links {
			rules := t.ofRules(l.Rules)
			weight += rules.weight // a chain keeps its rules' terms alive
			links[i] = ast.ObjectTerm(
				ast.Item(ast.InternedTerm("namespace"), ast.StringTerm(l.Namespace)),
				ast.Item(ast.InternedTerm("acls"), rules.term),
			)
		}
		return weighed{ast.ArrayTerm(links...), weight}
	}).term
}

func (t *terms) once(id uint64, build func() weighed) weighed {
	if w, ok := t.cache.GetIfPresent(id); ok {
		return w
	}
	w := build()
	t.cache.Set(id, w)
	return w
}

// listTerm splits a list into what a policy asks of it: {"any": false, "names": {"admin-user": true}, "prefixes": ["service:"]}.
func listTerm(list []string) *ast.Term {
	everyone, names, prefixes := false, [][2]*ast.Term{}, []*ast.Term{}
	for _, entry := range list {
		prefix, wildcard := strings.CutSuffix(entry, "*")
		switch {
		case !wildcard:
			names = append(names, ast.Item(ast.StringTerm(entry), ast.InternedTerm(true)))
		case prefix == "":
			everyone = true
		default:
			prefixes = append(prefixes, ast.StringTerm(prefix))
		}
	}
	return ast.ObjectTerm(
		ast.Item(ast.InternedTerm("any"), ast.InternedTerm(everyone)),
		ast.Item(ast.InternedTerm("names"), ast.ObjectTerm(names...)),
		ast.Item(ast.InternedTerm("prefixes"), ast.ArrayTerm(prefixes...)),
	)
}
