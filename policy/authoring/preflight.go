package authoring

import (
	"context"
	"strings"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/policy/source"
	"github.com/dynconfig/dynconfig/wire"
)

// preflight finds out whether a set may be put in force: it compiles, its tests pass, and it locks nobody out who must be
// able to change it. A nil caller: nobody put it.
func preflight(ctx context.Context, a *policy.Authorizer, s Sandbox, set policy.Set, caller *core.Caller) (policy.Verdict, *wire.PolicyTests, error) {
	if len(set.Modules) == 0 {
		verdict, err := a.Check(ctx, set, caller)
		return verdict, nil, err
	}
	sent, err := wireOf(set)
	if err != nil {
		return policy.Verdict{}, nil, err
	}
	verdict, err := s.Check(ctx, sent, caller)
	if err != nil {
		return policy.Verdict{}, nil, err
	}
	tests, err := s.Test(ctx, sent)
	if err != nil {
		return policy.Verdict{}, nil, err
	}
	if len(tests.Failed) == 0 {
		return verdict, &tests, nil
	}
	e := core.Errorf(core.ErrInvalid, "%d of the policy's tests failed, the first at %s: %s",
		len(tests.Failed), tests.Failed[0].Location, tests.Failed[0].Test)
	for _, failed := range tests.Failed {
		e.Fields = append(e.Fields, core.FieldError{Path: failed.Location, Reason: strings.TrimSuffix(failed.Test+": "+failed.Message, ": ")})
	}
	return policy.Verdict{}, nil, e
}

// Start puts what a source holds in force, checked as any change is. It is for the start of a server, which must not go on
// by other rules than it was told to. A nil sandbox: tests run in this process.
func Start(ctx context.Context, a *policy.Authorizer, s source.Source, sandbox Sandbox) error {
	set, err := s.Read(ctx)
	if err != nil {
		return err
	}
	if _, _, err := preflight(ctx, a, orInProcess(sandbox, a), set, nil); err != nil {
		return err
	}
	return a.Load(ctx, set)
}

func orInProcess(s Sandbox, a *policy.Authorizer) Sandbox {
	if s == nil {
		return inProcess{a}
	}
	return s
}
