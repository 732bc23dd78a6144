package authoring

import (
	"context"
	"maps"
	"slices"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/wire"
)

// eventRevert is the operation of a set that came back because the one after it was not confirmed.
const eventRevert = "revert"

// Lengths of a history.
const (
	defaultHistory = 100
	maxHistory     = 1000
	historyStep    = 16 // read at once: each is as large as a set may be
)

// History returns the stored sets, newest first.
func (m *Manager) History(ctx context.Context, c core.Caller, limit int) (wire.PolicyHistory, error) {
	none := wire.PolicyHistory{}
	if err := m.require(ctx, c, core.ActionRead, "history"); err != nil {
		return none, err
	}
	switch {
	case limit == 0:
		limit = defaultHistory
	case limit < 0 || limit > maxHistory:
		return none, core.Errorf(core.ErrInvalid, "Limit must be from 1 to %d", maxHistory)
	}
	h := wire.PolicyHistory{Versions: []wire.PolicyVersion{}}
	for before := core.Revision(0); len(h.Versions) < limit; {
		records, err := m.engine.PolicyHistory(ctx, before, min(limit-len(h.Versions), historyStep))
		if err != nil {
			return none, err
		}
		if len(records) == 0 {
			break
		}
		for _, r := range records {
			held := heldIn(m.engine.Epoch(), r.Change.Entry)
			h.Versions = append(h.Versions, wire.PolicyVersion{
				Revision: held.revision, Author: r.Meta.Author, Time: r.Meta.Time, Note: r.Meta.Note,
				Modules: slices.AppendSeq([]string{}, maps.Keys(held.Modules)), Event: r.Meta.Attrs["operation"],
			})
			slices.Sort(h.Versions[len(h.Versions)-1].Modules)
		}
		before = records[len(records)-1].Revision
	}
	return h, nil
}

// Rollback puts a stored set in force again, as a new version, if it passes every check today.
func (m *Manager) Rollback(ctx context.Context, c core.Caller, revision string, o wire.RollbackPolicy) (wire.PolicyState, error) {
	none := wire.PolicyState{}
	if err := m.require(ctx, c, core.ActionAdmin, policy.OperationRollback); err != nil {
		return none, err
	}
	if err := m.ruledHere(); err != nil {
		return none, err
	}
	then, err := m.find(ctx, revision)
	if err != nil {
		return none, err
	}
	return m.change(ctx, c, policy.OperationRollback, false, func(present held) (stored, error) {
		return stored{Modules: then.Modules, Data: then.Data, Note: o.Note}, m.holds(o.PolicyCondition, present)
	})
}

// Stored returns the set that a revision names, for who compares with it. It asks nobody whether that is allowed.
func (m *Manager) Stored(ctx context.Context, revision string) (wire.PolicySet, error) {
	h, err := m.find(ctx, revision)
	return wire.PolicySet{Modules: h.Modules, Data: h.Data, Note: h.Note}, err
}

// find returns the set that a revision names: one that was stored, or that of the shipped rules.
func (m *Manager) find(ctx context.Context, revision string) (held, error) {
	if revision == shipped(m.authorizer).Revision {
		return held{}, nil
	}
	p, err := core.ParsePosition(revision)
	if err != nil {
		return held{}, err
	}
	if p.Epoch != m.engine.Epoch() {
		return held{}, core.Errorf(core.ErrCompacted, "Revision is of another epoch")
	}
	records, err := m.engine.PolicyHistory(ctx, p.Revision+1, 1)
	if err != nil {
		return held{}, err
	}
	if len(records) == 0 || records[0].Revision != p.Revision {
		return held{}, core.Errorf(core.ErrNotFound, "No stored policy has that revision")
	}
	h := heldIn(p.Epoch, records[0].Change.Entry)
	return h, h.unread
}
