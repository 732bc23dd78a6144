package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// traceLimit is the longest a traced run may take: it does more than one that decides.
const traceLimit = time.Second

// traced runs the policy for its witness, apart from the runs that decide. With admins, these stand for the server's.
func (p *policy) traced(ctx context.Context, input ast.Value, at time.Time, w *witness, admins ...string) (answer *ast.Term, err error) {
	defer func() {
		if r := recover(); r != nil {
			answer, err = nil, fmt.Errorf("panic in the policy: %T", r)
		}
	}()
	question := ast.Equality.Expr(ast.NewTerm(answerVar), ast.NewTerm(decisionRef))
	if len(admins) > 0 {
		list := make([]*ast.Term, len(admins))
		for i, name := range admins {
			list[i] = ast.StringTerm(name)
		}
		question = question.IncludeWith(ast.NewTerm(adminsRef), ast.ArrayTerm(list...))
	}
	body, err := p.compiler.QueryCompiler().Compile(ast.NewBody(question))
	if err != nil {
		return nil, err
	}
	ctx, done := within(ctx, traceLimit)
	defer done()
	end := ended{ctx}
	query := topdown.NewQuery(body).WithCompiler(p.compiler).WithStore(p.store).WithTransaction(p.txn).
		WithBuiltins(p.native).WithInput(ast.NewTerm(input)).WithTime(at).WithCancel(&end).WithStrictBuiltinErrors(true)
	if w != nil {
		query = query.WithQueryTracer(w)
	}
	results := 0
	err = query.Iter(ctx, func(r topdown.QueryResult) error {
		results, answer = results+1, r[answerVar]
		return nil
	})
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, err
	case results == 0:
		return nil, errUndefined
	case results > 1:
		return nil, errSeveral
	}
	return answer, nil
}

var (
	errUndefined = errors.New("none of its rules applies")
	errSeveral   = errors.New("it has several results")
)

// ended cancels a run when its context has ended.
type ended struct{ ctx context.Context }

// Cancel does nothing: the context ends a run.
func (*ended) Cancel() {}

// Cancelled reports whether to stop.
func (e *ended) Cancelled() bool { return e.ctx.Err() != nil }

// failure says why a run failed, without a word of what the claims hold, and where if that is known.
func (p *policy) failure(err error, w *witness) (string, *ast.Location) {
	var e *topdown.Error
	switch {
	case errors.Is(err, errLate):
		return errLate.Error(), w.last
	case errors.Is(err, errUndefined):
		return err.Error(), p.first()
	case errors.Is(err, errSeveral):
		return err.Error(), w.source()
	case !errors.As(err, &e):
		return "it broke off", w.last
	}
	switch e.Code {
	case topdown.ConflictErr:
		return "rules that answer the same disagree", e.Location
	case topdown.BuiltinErr, topdown.TypeErr:
		if name, _, _ := strings.Cut(e.Message, ":"); ast.BuiltinMap[name] != nil {
			return "the builtin " + name + " failed", e.Location
		}
		return "a builtin failed", e.Location
	}
	return "it broke off", e.Location
}

// first is the place of the first rule that would decide.
func (p *policy) first() *ast.Location {
	var first *ast.Location
	for _, r := range p.compiler.GetRulesExact(decisionRef) {
		if at := r.Loc(); first == nil || at.Compare(first) < 0 {
			first = at
		}
	}
	return first
}
