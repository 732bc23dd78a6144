package policy

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// reads is what the rules of a policy look at, beyond what every answer is taken to depend on: generation, username,
// environment, kind, action, existence, and the lists.
type reads struct {
	key       bool // its text, or the namespaces that follow from it
	operation bool
	changes   bool
	address   bool
	allClaims bool
	claims    []string // single ones, in order; none if allClaims
	volatile  bool     // the time, or a builtin that answers anew each time: nothing can be kept
}

func (r *reads) anyClaim() bool { return r.allClaims || len(r.claims) > 0 }

func (r *reads) request() bool { return r.operation || r.changes || r.address || r.volatile }

// readsOf finds out what compiled modules may read, whether or not a rule can be reached.
func readsOf(c *ast.Compiler) reads {
	var r reads
	for _, m := range c.Modules {
		for _, rule := range m.Rules {
			r.walk(rule)
		}
	}
	for name := range called(c) {
		b := ast.BuiltinMap[name]
		r.volatile = r.volatile || b == nil || b.IsNondeterministic() || strings.HasPrefix(name, certificates)
	}
	if r.allClaims {
		r.claims = nil
	}
	slices.Sort(r.claims)
	r.claims = slices.Compact(r.claims)
	return r
}

// certificates begins the names of builtins that look at the clock, for certificates that are over, and do not say so.
const certificates = "crypto.x509.parse_and_verify_certificates"

// called are the builtins that compiled modules may call, also those that a "with" puts in the place of a function, which
// the compiler does not count.
func called(c *ast.Compiler) map[string]bool {
	names := map[string]bool{}
	for _, b := range c.Required.Builtins {
		names[b.Name] = true
	}
	for _, m := range c.Modules {
		ast.WalkWiths(m, func(w *ast.With) bool {
			if ref, ok := w.Value.Value.(ast.Ref); ok && ast.BuiltinMap[ref.String()] != nil {
				names[ref.String()] = true
			}
			return false
		})
	}
	return names
}

func (r *reads) walk(x any) {
	ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.With: // its target is replaced, not read
			r.walk(x.Value)
			return true
		case ast.Ref:
			if x.HasPrefix(ast.InputRootRef) {
				r.ref(constants(x[1:]))
			}
			for _, t := range x[1:] { // a head alone is no reference to all of input
				r.walk(t)
			}
			if _, ok := x[0].Value.(ast.Var); !ok {
				r.walk(x[0])
			}
			return true
		case ast.Var:
			if x.Equal(ast.InputRootDocument.Value) {
				r.ref(nil)
			}
		}
		return false
	}).Walk(x)
}

// constants returns the beginning of a path that is known before the evaluation. What follows may be anything.
func constants(path ast.Ref) []string {
	var known []string
	for _, t := range path {
		s, ok := t.Value.(ast.String)
		if !ok {
			break
		}
		known = append(known, string(s))
	}
	return known
}

// ref notes a read of input at a path and of everything below it.
func (r *reads) ref(path []string) {
	part := func(i int, name string) bool { return len(path) <= i || path[i] == name }
	if part(0, "subject") && part(1, "claims") {
		if len(path) > 2 {
			r.claims = append(r.claims, path[2])
		} else {
			r.allClaims = true
		}
	}
	if part(0, "resource") && (part(1, "key") || part(1, "namespaces")) {
		r.key = true
	}
	if part(0, "request") {
		r.operation = r.operation || part(1, "operation")
		r.changes = r.changes || part(1, "changes")
		r.address = r.address || part(1, "address")
		r.volatile = r.volatile || part(1, "time")
	}
}
