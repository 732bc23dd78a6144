package core

import (
	"context"
	"errors"
	"strconv"
	"time"
)

// decide asks the policy on behalf of a caller. An error denies, as a rule of its own.
func (e *Engine) decide(ctx context.Context, c *Caller, ask Access) (Decision, error) {
	if c.Subject == nil {
		return Decision{}, Errorf(ErrUnauthenticated, "Invalid JWT")
	}
	ask.Environment, ask.Address = c.Environment, c.Address
	if ask.Time.IsZero() {
		ask.Time = e.now()
	}
	ask.Request, ask.Supposed = c.RequestID, c.supposed
	d, err := e.options.Authorizer.Authorize(ctx, c.Subject, ask)
	if err != nil {
		if ctx.Err() != nil {
			return Decision{}, ctx.Err()
		}
		e.log.Error("policy cannot decide", "request", c.RequestID, "error", err)
		return Decision{Rule: "policy-error", Reason: "the policy cannot decide"}, nil
	}
	return d, nil
}

// settle is decide for lists and streams, which a denial leaves something out of. No answer in time is an error there: what
// it would have allowed must not go missing unseen.
func (e *Engine) settle(ctx context.Context, c *Caller, ask Access) (Decision, error) {
	d, err := e.decide(ctx, c, ask)
	if err == nil && d.Late {
		err = &Error{Kind: ErrUnavailable, Detail: "The policy did not decide in time; try again", Retry: time.Second}
	}
	return d, err
}

// may is settle where only the answer counts.
func (e *Engine) may(ctx context.Context, c *Caller, ask Access) (bool, error) {
	ask.Hides = true
	d, err := e.settle(ctx, c, ask)
	return d.Allow, err
}

// require asks, and makes a denial an error and a record.
func (e *Engine) require(ctx context.Context, c *Caller, ask Access) (Decision, error) {
	d, err := e.requireAgain(ctx, c, ask)
	if errors.Is(err, ErrForbidden) {
		e.record(c, ask, OutcomeDenied, d.Rule, 0)
	}
	return d, err
}

// requireAgain is require where the denial of the same request is recorded already.
func (e *Engine) requireAgain(ctx context.Context, c *Caller, ask Access) (Decision, error) {
	d, err := e.decide(ctx, c, ask)
	if err != nil || d.Allow {
		return d, err
	}
	return d, denied(d)
}

func denied(d Decision) *Error {
	if d.Reason == "" {
		return Errorf(ErrForbidden, "The policy denies this")
	}
	return Errorf(ErrForbidden, "%s", d.Reason)
}

// deniedParts is the denial of a batch: which operations, and no more.
func deniedParts(indexes []int) *Error {
	e := Errorf(ErrForbidden, "The policy denies some of the operations")
	for _, i := range indexes {
		e.Fields = append(e.Fields, FieldError{Path: "operations[" + strconv.Itoa(i) + "]", Reason: "denied"})
	}
	return e
}

// record keeps an audit entry.
func (e *Engine) record(c *Caller, ask Access, outcome Outcome, rule string, rev Revision) {
	actor := ""
	if c.Subject != nil {
		actor = c.Subject.Username
	}
	e.options.Audit.Append(AuditEntry{
		Time: e.now(), Actor: actor, Action: string(ask.Action), Kind: ask.Kind, Key: ask.Key,
		Environment: c.Environment, Outcome: outcome, Rule: rule, Revision: rev, RequestID: c.RequestID, Address: c.Address,
	})
}
