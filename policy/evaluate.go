package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/dynconfig/dynconfig/core"
)

// RuleError is the rule of a denial that came of a policy's failure.
const RuleError = "policy-error"

// timeLimit is the longest a policy may take to decide, on a machine that lets it.
const timeLimit = 250 * time.Millisecond

var errLate = errors.New("the policy took longer than 250 ms")

// evaluate runs the policy. at is what time.now_ns answers; tracers see every step.
func (p *policy) evaluate(ctx context.Context, input ast.Value, at time.Time, tracers ...topdown.QueryTracer) (d core.Decision, err error) {
	defer func() { // a builtin that panics must deny, not end the server
		if r := recover(); r != nil {
			d, err = core.Decision{}, fmt.Errorf("panic in the policy: %T", r)
		}
	}()
	if p.reaches { // a call to a host ends by its context alone
		limited, done := within(ctx, timeLimit)
		defer done()
		ctx = limited
	}
	end := limit{ctx: ctx}
	defer after(timeLimit, end.Cancel).stop()
	m, _ := p.memos.Get().(*memo)
	if m == nil {
		m = newMemo()
	}
	results, answer := 0, (*ast.Term)(nil)
	err = p.ask(input, at, &end, tracers).WithVirtualCache(m).Iter(ctx, func(r topdown.QueryResult) error {
		results, answer = results+1, r[answerVar]
		return nil
	})
	if p.noted != nil { // whole, where the query would make a copy
		if answer, _ = m.Get(p.noted); answer != nil {
			results = 1
		}
	}
	m.reset() // where the run panicked, it is left to the collector
	p.memos.Put(m)
	switch { // a run that ended by itself, but late, has not decided
	case ctx.Err() != nil:
		return core.Decision{}, context.Cause(ctx)
	case end.late.Load():
		return core.Decision{}, errLate
	case err != nil:
		return core.Decision{}, cleaned(err)
	case results != 1:
		return core.Decision{}, fmt.Errorf("%s has %d results, not one", decisionPath, results)
	}
	return decisionOf(answer)
}

func (p *policy) ask(input ast.Value, at time.Time, end topdown.Cancel, tracers []topdown.QueryTracer) *topdown.Query {
	q := topdown.NewQuery(p.query).WithCompiler(p.compiler).WithStore(p.store).WithTransaction(p.txn).WithBaseCache(p.data).WithBuiltins(p.native).
		WithInput(ast.NewTerm(input)).WithTime(at).WithCancel(end).WithStrictBuiltinErrors(true).WithMetrics(metrics.NoOp())
	for _, t := range tracers {
		q = q.WithQueryTracer(t)
	}
	return q
}

// limit ends a run when its time is over or its caller has left. The run asks it before each step.
type limit struct {
	ctx  context.Context
	late atomic.Bool
}

func (l *limit) Cancel() { l.late.Store(true) }

func (l *limit) Cancelled() bool { return l.late.Load() || l.ctx.Err() != nil }

// cleaned keeps of an error in a builtin where and in which it was, and not what it says: that may quote claims.
func cleaned(err error) error {
	var e *topdown.Error
	if !errors.As(err, &e) || e.Code != topdown.BuiltinErr && e.Code != topdown.TypeErr {
		return err
	}
	name, _, _ := strings.Cut(e.Message, ":")
	if ast.BuiltinMap[name] == nil {
		return fmt.Errorf("%s: %s", place(e.Location), e.Code)
	}
	return fmt.Errorf("%s: %s: %s", place(e.Location), e.Code, name)
}
