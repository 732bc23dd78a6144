package policy

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/types"

	"github.com/dynconfig/dynconfig/core"
)

// native are functions of the shipped rules that the server runs itself, by their names in acl.rego. What they answer is what
// acl.rego says, and a test compares the two: written in Rego they would be most of the time of a decision. They know lists
// and links only as the server writes them, see terms.
func native() map[string]*topdown.Builtin {
	l := &listWords{
		any: ast.InternedTerm("any"), names: ast.InternedTerm("names"), prefixes: ast.InternedTerm("prefixes"),
		acls: ast.InternedTerm("acls"), admin: ast.InternedTerm("admin"),
	}
	functions := map[string]*topdown.Builtin{}
	for name, f := range map[string]func(a, b *ast.Term) *ast.Term{
		"entry":         l.entry,
		"nearest":       l.nearest,
		"administering": l.administering,
		"omits":         omits,
	} {
		functions[nativePrefix+name] = &topdown.Builtin{
			Decl: &ast.Builtin{
				Name: nativePrefix + name, Decl: types.NewFunction(types.Args(types.A, types.A), types.A), CanSkipBctx: true,
			},
			Func: func(_ topdown.BuiltinContext, operands []*ast.Term, yield func(*ast.Term) error) error {
				if answer := f(operands[0], operands[1]); answer != nil {
					return yield(answer)
				}
				return nil
			},
		}
	}
	return functions
}

// nativePrefix is no beginning of a name that Rego can write.
const nativePrefix = "dynconfig acl "

// quicken makes the shipped rules call native functions. It leaves them alone if a rule puts something else in the place of
// input or of the server's own rules: only what the server writes is what native functions know.
func quicken(c *ast.Compiler, functions map[string]*topdown.Builtin) {
	for _, m := range c.Modules {
		if replaces(m) {
			return
		}
	}
	for _, rule := range c.Modules[shippedFile("acl.rego")].Rules {
		if len(rule.Head.Args) == 0 { // functions may be called by a set, with lists of its own
			ast.WalkExprs(rule, func(e *ast.Expr) bool {
				quickenCall(e, functions)
				return false
			})
		}
	}
}

func quickenCall(e *ast.Expr, functions map[string]*topdown.Builtin) {
	acl := ast.MustParseRef("data.dynconfig.acl")
	terms, call := e.Terms.([]*ast.Term)
	if !call || !e.IsCall() || len(e.Operator()) != len(acl)+1 || !e.Operator().HasPrefix(acl) {
		return
	}
	name, _ := e.Operator()[len(acl)].Value.(ast.String)
	if f := functions[nativePrefix+string(name)]; f != nil {
		terms[0] = ast.NewTerm(f.Decl.Ref())
	}
}

func replaces(m *ast.Module) bool {
	found := false
	ast.WalkWiths(m, func(w *ast.With) bool {
		target, _ := w.Target.Value.(ast.Ref)
		own := ast.MustParseRef("data.dynconfig")
		found = found || len(target) == 0 || target.HasPrefix(ast.InputRootRef) || target.HasPrefix(own) || own.HasPrefix(target)
		return found
	})
	return found
}

// listWords are the member names of the lists and links of terms.
type listWords struct{ any, names, prefixes, acls, admin *ast.Term }

func (w *listWords) entry(list, user *ast.Term) *ast.Term {
	if list.Get(w.names).Get(user) != nil {
		return user
	}
	if list.Get(w.any).Equal(ast.InternedTerm(true)) {
		return ast.InternedTerm("*")
	}
	name, _ := user.Value.(ast.String)
	var found *ast.Term
	list.Get(w.prefixes).Value.(*ast.Array).Until(func(p *ast.Term) bool {
		if prefix, ok := p.Value.(ast.String); ok && strings.HasPrefix(string(name), string(prefix)) {
			found = ast.StringTerm(string(prefix) + "*")
		}
		return found != nil
	})
	return found
}

func (w *listWords) nearest(links, list *ast.Term) *ast.Term {
	return innermost(links, func(link *ast.Term) bool { return link.Get(w.acls).Get(list) != nil })
}

func (w *listWords) administering(links, user *ast.Term) *ast.Term {
	return innermost(links, func(link *ast.Term) bool {
		list := link.Get(w.acls).Get(w.admin)
		return list != nil && w.entry(list, user) != nil
	})
}

func innermost(links *ast.Term, holds func(*ast.Term) bool) *ast.Term {
	all := links.Value.(*ast.Array)
	for i := all.Len() - 1; i >= 0; i-- {
		if link := all.Elem(i); holds(link) {
			return link
		}
	}
	return nil
}

func omits(list, namespace *ast.Term) *ast.Term {
	name, _ := namespace.Value.(ast.String)
	place := "namespace " + string(name)
	if name == core.RootName {
		place = "the root namespace"
	}
	l, _ := list.Value.(ast.String)
	return ast.StringTerm("The " + string(l) + " list of " + place + " does not name you, nor does an admin list")
}
