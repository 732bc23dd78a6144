package policy

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/dynconfig/dynconfig/core"
)

// decisionOf reads a policy's answer: {"allow": bool, "rule"?: string, "reason"?: string, "grant"?: {…}}. A member of
// another type makes the whole answer void.
func decisionOf(term *ast.Term) (core.Decision, error) {
	r := reader{}
	o := r.object(term, "decision")
	d := core.Decision{Allow: r.bool(o, "allow"), Rule: r.text(o, "rule"), Reason: r.text(o, "reason")}
	if o != nil && o.Get(ast.InternedTerm("grant")) != nil {
		g := r.object(o.Get(ast.InternedTerm("grant")), "grant")
		d.Grant = &core.Grant{Source: r.text(g, "source"), Name: r.text(g, "name"), List: r.text(g, "list"), Entry: r.text(g, "entry")}
	}
	if r.err != nil {
		return core.Decision{}, r.err
	}
	return d, nil
}

// reader takes members out of terms and remembers the first that is not what it must be.
type reader struct{ err error }

func (r *reader) fail(what, want string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %s is not %s", decisionPath, what, want)
	}
}

func (r *reader) object(t *ast.Term, what string) ast.Object {
	if t != nil {
		if o, ok := t.Value.(ast.Object); ok {
			return o
		}
	}
	r.fail(what, "an object")
	return nil
}

func (r *reader) bool(o ast.Object, name string) bool {
	if o == nil {
		return false
	}
	if t := o.Get(ast.InternedTerm(name)); t != nil {
		if b, ok := t.Value.(ast.Boolean); ok {
			return bool(b)
		}
	}
	r.fail(name, "true or false")
	return false
}

// text returns a string member, "" if it is not there.
func (r *reader) text(o ast.Object, name string) string {
	if o == nil {
		return ""
	}
	t := o.Get(ast.InternedTerm(name))
	if t == nil {
		return ""
	}
	s, ok := t.Value.(ast.String)
	if !ok {
		r.fail(name, "a string")
	}
	return string(s)
}
