package authoring

import (
	"context"
	"slices"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/wire"
)

// Decisions returns what this node recorded of its decisions, newest first, to those who may read the policy. To look at
// records is an access like another: it is recorded if allowed ones are.
func (m *Manager) Decisions(ctx context.Context, c core.Caller, f wire.DecisionFilter) (wire.Decisions, error) {
	if err := checkFilter(&f); err != nil {
		return wire.Decisions{}, err
	}
	if err := m.require(ctx, c, core.ActionRead, "decisions"); err != nil {
		return wire.Decisions{}, err
	}
	if m.decisions == nil {
		return wire.Decisions{Decisions: []wire.Decision{}}, nil
	}
	return m.decisions.Query(ctx, f)
}

var (
	filterActions = []core.Action{
		"", core.ActionRead, core.ActionList, core.ActionWatch, core.ActionCreate, core.ActionWrite, core.ActionDelete, core.ActionAdmin,
	}
	filterKinds = []core.Kind{
		"", core.KindKey, core.KindDocument, core.KindNamespace, core.KindEnvironment, core.KindPolicy, core.KindAudit,
	}
)

// checkFilter refuses a filter that selects nothing by mistake.
func checkFilter(f *wire.DecisionFilter) error {
	switch {
	case f.Limit < 0 || f.Limit > policy.MaxDecisions:
		return core.Errorf(core.ErrMalformed, "limit is 1 to %d", policy.MaxDecisions)
	case !slices.Contains(filterActions, core.Action(f.Action)):
		return core.Errorf(core.ErrMalformed, "action is none that a policy is asked about")
	case !slices.Contains(filterKinds, core.Kind(f.Kind)):
		return core.Errorf(core.ErrMalformed, "kind is none that a policy is asked about")
	case !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until):
		return core.Errorf(core.ErrMalformed, "since is not before until")
	}
	return nil
}
