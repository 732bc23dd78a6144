package policy

import (
	"github.com/open-policy-agent/opa/v1/ast"
)

// singlesOut reports whether a module beside the shipped rules looks at the username by itself, other than to find out whether
// it is among ADMINS.
func (p *policy) singlesOut() bool {
	n := names{}
	for _, m := range p.compiler.Modules {
		if !m.Package.Path.Equal(aclPackage) {
			n.walk(m)
		}
	}
	return n.read
}

// names finds out whether something reads the username.
type names struct{ read bool }

func (n *names) walk(x any) {
	ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case ast.Body:
			plain := membership(x)
			for _, e := range x {
				if !plain[e] {
					n.walk(e)
				}
			}
			return true
		case *ast.With: // its target is replaced, not read
			n.walk(x.Value)
			return true
		case ast.Ref:
			if x.HasPrefix(ast.InputRootRef) {
				n.ref(constants(x[1:]))
			}
			for _, t := range x[1:] { // a head alone is no reference to all of input
				n.walk(t)
			}
			return true
		case ast.Var:
			if x.Equal(ast.InputRootDocument.Value) {
				n.ref(nil)
			}
		}
		return n.read
	}).Walk(x)
}

func (n *names) ref(path []string) {
	part := func(i int, name string) bool { return len(path) <= i || path[i] == name }
	n.read = n.read || part(0, "subject") && part(1, "username")
}

// membership returns the expressions of a compiled body that ask whether the username is among ADMINS, and do no more:
// "a = input.subject.username; b = data.dynconfig.config.admins; a in b".
func membership(body ast.Body) map[*ast.Expr]bool {
	sets, uses := map[ast.Var]*ast.Expr{}, map[ast.Var]int{}
	for _, e := range body {
		if v, ok := setBy(e); ok {
			sets[v] = e
		}
		ast.WalkVars(e, func(v ast.Var) bool {
			uses[v]++
			return false
		})
	}
	plain := map[*ast.Expr]bool{}
	for _, e := range body {
		if !e.IsCall() || e.Operator().String() != ast.Member.Name || len(e.With) > 0 {
			continue
		}
		who, _ := e.Operand(0).Value.(ast.Var)
		list, _ := e.Operand(1).Value.(ast.Var)
		if uses[who] == 2 && uses[list] == 2 && is(sets[who], usernameRef) && is(sets[list], adminsRef) {
			plain[e], plain[sets[who]], plain[sets[list]] = true, true, true
		}
	}
	return plain
}

var usernameRef = ast.MustParseRef("input.subject.username")

// setBy is the variable that an expression sets to something.
func setBy(e *ast.Expr) (ast.Var, bool) {
	if !e.IsEquality() || e.Negated || len(e.With) > 0 {
		return "", false
	}
	v, ok := e.Operand(0).Value.(ast.Var)
	return v, ok
}

// is reports whether an expression sets its variable to what a reference says.
func is(e *ast.Expr, ref ast.Ref) bool { return e != nil && e.Operand(1).Value.Compare(ref) == 0 }
