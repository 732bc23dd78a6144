package authoring

import (
	"context"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/wire"
)

// State says which policy is in force, to those who may read it.
func (m *Manager) State(ctx context.Context, c core.Caller) (wire.PolicyState, error) {
	if err := m.require(ctx, c, core.ActionRead, policy.OperationGet); err != nil {
		return wire.PolicyState{}, err
	}
	return m.describe()
}

// require asks the policy about itself.
func (m *Manager) require(ctx context.Context, c core.Caller, action core.Action, operation string) error {
	_, err := m.engine.Require(ctx, c, core.Access{
		Action: action, Kind: core.KindPolicy, Key: core.PolicySet, Exists: true, Operation: operation,
	})
	return err
}

// describe says what is in force.
func (m *Manager) describe() (wire.PolicyState, error) {
	is := m.snapshot()
	sent, err := wireOf(is.set)
	if err != nil {
		return wire.PolicyState{}, err
	}
	s := wire.PolicyState{
		Source: is.kind, Revision: is.set.Revision, LoadedAt: is.loaded, LastError: is.lastError, Modules: sent.Modules, Data: sent.Data,
		Rescue: m.rescue, Reads: is.verdict.Reads, Warnings: is.verdict.Warnings,
	}
	if is.kind == "server" {
		s.Note, s.Author = is.held.Note, is.held.author
	}
	if is.held.Pending != nil {
		s.ConfirmBy = &is.held.Pending.Until
	}
	return s, nil
}

// describeStored says of a set that was just stored what is true of it, whatever is in force by now: another may have been
// put since, or stored sets are passed over here.
func (m *Manager) describeStored(h held, v policy.Verdict) wire.PolicyState {
	s := wire.PolicyState{
		Source: "server", Revision: h.revision, LoadedAt: m.now(), Modules: h.Modules, Data: h.Data, Note: h.Note, Author: h.author,
		Rescue: m.rescue, Reads: v.Reads, Warnings: v.Warnings,
	}
	if h.Pending != nil {
		s.ConfirmBy = &h.Pending.Until
	}
	return s
}
