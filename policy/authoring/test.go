package authoring

import (
	"context"
	"iter"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/wire"
)

// Operations by which a draft is tried, as a policy sees them.
const (
	operationTest   = "test"
	operationReplay = "replay"
)

// Test runs the tests of a draft, for those who may read the policy.
func (m *Manager) Test(ctx context.Context, c core.Caller, sent wire.PolicySet) (wire.PolicyTests, error) {
	if err := m.require(ctx, c, core.ActionRead, operationTest); err != nil {
		return wire.PolicyTests{}, err
	}
	return m.sandbox.Test(ctx, sent)
}

// inProcess is the Sandbox of who has none.
type inProcess struct{ authorizer *policy.Authorizer }

func (p inProcess) Check(ctx context.Context, sent wire.PolicySet, caller *core.Caller) (policy.Verdict, error) {
	set, err := SetOf(sent, "")
	if err != nil {
		return policy.Verdict{}, err
	}
	return p.authorizer.Check(ctx, set, caller)
}

func (p inProcess) Test(ctx context.Context, sent wire.PolicySet) (wire.PolicyTests, error) {
	set, err := SetOf(sent, "")
	if err != nil {
		return wire.PolicyTests{}, err
	}
	return p.authorizer.Test(ctx, set)
}

func (p inProcess) Replay(ctx context.Context, sent wire.PolicySet, records iter.Seq2[wire.Decision, error]) (wire.Replayed, error) {
	set, err := SetOf(sent, "")
	if err != nil {
		return wire.Replayed{}, err
	}
	draft, err := p.authorizer.Compile(ctx, set)
	if err != nil {
		return wire.Replayed{}, err
	}
	return policy.Replay(ctx, draft, records, policy.ReplayOptions{})
}
