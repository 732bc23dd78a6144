package authoring

import (
	"context"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/wire"
)

// Confirm lets a set stay that waits for it. The caller is judged by that set.
func (m *Manager) Confirm(ctx context.Context, c core.Caller, revision string) (wire.PolicyState, error) {
	none := wire.PolicyState{}
	var behind error
	if m.source == nil {
		behind = m.catchUp(ctx)
	}
	if err := m.require(ctx, c, core.ActionAdmin, policy.OperationConfirm); err != nil {
		return none, err
	}
	if err := m.ruledHere(); err != nil {
		return none, err
	}
	if behind != nil { // it may quote the policy, and so is for those who may read it
		return none, behind
	}
	present, err := m.read(ctx)
	switch {
	case err != nil:
		return none, err
	case m.rescue:
		return none, core.Errorf(core.ErrConflict, "This node decides by the shipped rules: confirm where the policy is in force")
	case present.revision != revision:
		return none, core.Errorf(core.ErrConflict, "The policy is at another revision")
	case present.Pending == nil:
		return none, core.Errorf(core.ErrConflict, "The policy does not wait to be confirmed")
	case !m.now().Before(present.Pending.Until):
		return none, core.Errorf(core.ErrConflict, "The policy was not confirmed in time")
	case m.authorizer.Set().Revision != revision:
		return none, core.Errorf(core.ErrConflict, "This node does not decide by that revision")
	}
	set, err := present.load()
	if err != nil {
		return none, err
	}
	verdict, err := m.authorizer.Check(ctx, set, &c)
	if err != nil {
		return none, err
	}
	present.Pending = nil
	value, err := present.encode()
	if err != nil {
		return none, err
	}
	return m.write(ctx, c, core.PolicyWrite{Value: value, Version: present.version, Note: present.Note, Operation: policy.OperationConfirm}, verdict)
}
