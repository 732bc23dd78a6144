package policy

import (
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// witness watches a run and remembers which rules gave what may have become the decision.
type witness struct {
	given []given
	last  *ast.Location // of the expression that was looked at last
}

// given is a rule, or one branch of its else chain, and the value that it came to.
type given struct {
	rule  *ast.Rule
	value ast.Value
}

var _ topdown.QueryTracer = (*witness)(nil)

// maxGiven bounds what a witness remembers; the newest stay, among which the decision is.
const maxGiven = 2048

// Enabled says that it wants every step.
func (*witness) Enabled() bool { return true }

// Config asks for nothing more.
func (*witness) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// TraceEvent takes a step in.
func (w *witness) TraceEvent(e topdown.Event) {
	switch x := e.Node.(type) {
	case *ast.Expr:
		if e.Op == topdown.EvalOp && e.Location != nil && e.Location.File != "" {
			w.last = e.Location
		}
	case *ast.Rule:
		if e.Op != topdown.ExitOp {
			return
		}
		head := x.Head.Value
		if head == nil {
			head = x.Head.Key // of a set
		}
		value := e.Plug(head).Value
		if !decides(x) && said(value, "allow") == nil && said(value, "rule") == nil {
			return
		}
		if len(w.given) == maxGiven {
			w.given = append(w.given[:0], w.given[maxGiven/2:]...)
		}
		w.given = append(w.given, given{x, value})
	}
}

// decides reports whether a rule is the one that a policy is asked for.
func decides(r *ast.Rule) bool { return r.Ref().Equal(decisionRef) }

var (
	decisionRef = ast.MustParseRef(decisionPath)
	adminsRef   = ast.MustParseRef("data.dynconfig.config.admins")
	aclPackage  = ast.MustParseRef("data.dynconfig.acl")
)

// source is the place of the rule whose value became the decision: where a rule does no more than pass on what another
// gave, or what another named, the other one. The shipped rules are not looked into further than to the branch that held.
func (w *witness) source() *ast.Location {
	i := len(w.given) - 1
	for i >= 0 && !decides(w.given[i].rule) {
		i--
	}
	if i < 0 {
		return nil
	}
	for from := w.from(i); from >= 0; from = w.from(i) {
		i = from
	}
	return w.given[i].rule.Loc()
}

// from is the rule that gave a rule its value, -1 if it made it itself.
func (w *witness) from(i int) int {
	rule := w.given[i].rule
	if rule.Module != nil && rule.Module.Package.Path.Equal(aclPackage) {
		return -1
	}
	made := maker(rule)
	if ref, ok := made.Value.(ast.Ref); ok && ref.HasPrefix(ast.DefaultRootRef) {
		path := ref.ConstantPrefix()
		for k := i - 1; k >= 0; k-- {
			to := w.given[k].rule.Ref().ConstantPrefix()
			if (to.HasPrefix(path) || path.HasPrefix(to)) && w.given[k].value.Compare(w.given[i].value) == 0 {
				return k
			}
		}
	}
	if named := said(made.Value, "rule"); named != nil && named.IsGround() {
		return -1
	}
	return w.namedBy(i)
}

// namedBy is the rule that gave the name and reason from which another made its value, and said nothing else of whether to
// allow; -1 for none.
func (w *witness) namedBy(i int) int {
	value := w.given[i].value
	name := said(value, "rule")
	if name == nil {
		return -1
	}
	for k := i - 1; k >= 0; k-- {
		v := w.given[k].value
		if allow := said(v, "allow"); same(said(v, "rule"), name) && same(said(v, "reason"), said(value, "reason")) &&
			(allow == nil || same(allow, said(value, "allow"))) {
			return k
		}
	}
	return -1
}

// said is a member of an object, nil if there is none.
func said(v ast.Value, member string) *ast.Term {
	if o, ok := v.(ast.Object); ok {
		return o.Get(ast.InternedTerm(member))
	}
	return nil
}

func same(a, b *ast.Term) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(b)
}

// maker is what a compiled rule's value comes from: a reference, the name of the function that returned it, or what it is
// written as.
func maker(r *ast.Rule) *ast.Term {
	value := r.Head.Value
	if value == nil {
		value = r.Head.Key
	}
	for range r.Body {
		v, ok := value.Value.(ast.Var)
		if !ok {
			break
		}
		from := assigned(r.Body, v)
		if from == nil {
			break
		}
		value = from
	}
	return value
}

// assigned is what a body sets a variable to: a term, or the name of the function of whose call it is the result.
func assigned(body ast.Body, v ast.Var) *ast.Term {
	for _, e := range body {
		switch {
		case e.Negated:
		case e.IsEquality() && e.Operand(0).Value.Compare(v) == 0:
			return e.Operand(1)
		case e.IsEquality() && e.Operand(1).Value.Compare(v) == 0:
			return e.Operand(0)
		case e.IsCall() && len(e.Operands()) > 0 && e.Operand(len(e.Operands())-1).Value.Compare(v) == 0:
			return ast.NewTerm(e.Operator())
		}
	}
	return nil
}
