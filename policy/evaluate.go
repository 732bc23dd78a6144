package policy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/dynconfig/dynconfig/core"
)

// RuleError is the rule of a denial that came of a policy's failure.
const RuleError = "policy-error"

// timeLimit is the longest a policy may take to decide.
const timeLimit = 250 * time.Millisecond

var errLate = errors.New("the policy took longer than 250 ms")

// evaluate runs the policy. at is what time.now_ns answers.
func (p *policy) evaluate(ctx context.Context, input ast.Value, at time.Time) (d core.Decision, err error) {
	defer func() { // a builtin that panics must deny, not end the server
		if r := recover(); r != nil {
			d, err = core.Decision{}, fmt.Errorf("panic in the policy: %T", r)
		}
	}()
	limited, done := context.WithTimeoutCause(ctx, timeLimit, errLate)
	defer done()
	cancel := topdown.NewCancel()
	defer context.AfterFunc(limited, cancel.Cancel)()
	results, err := p.query.Eval(limited, rego.EvalParsedInput(input), rego.EvalTime(at), rego.EvalExternalCancel(cancel), rego.EvalMetrics(metrics.NoOp()))
	if limited.Err() != nil { // also a run that ended by itself, but late
		return core.Decision{}, context.Cause(limited)
	}
	if err != nil {
		return core.Decision{}, cleaned(err)
	}
	if len(results) != 1 || len(results[0].Expressions) != 1 {
		return core.Decision{}, fmt.Errorf("%s has %d results, not one", decisionPath, len(results))
	}
	term, _ := results[0].Expressions[0].Value.(*ast.Term)
	return decisionOf(term)
}

// cleaned keeps of an error in a builtin where it was, and not what it says: that may quote claims.
func cleaned(err error) error {
	var e *topdown.Error
	if errors.As(err, &e) && e.Code == topdown.BuiltinErr {
		return fmt.Errorf("%s: %s", place(e.Location), e.Code)
	}
	return err
}
