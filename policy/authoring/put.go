package authoring

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/wire"
)

// How long a set may wait to be confirmed.
const (
	minConfirm = time.Second
	maxConfirm = 24 * time.Hour
)

// maxNote is the longest note of a set, in bytes.
const maxNote = 4096

// Put puts a set in force, on this node before it returns, if it passes every check.
func (m *Manager) Put(ctx context.Context, c core.Caller, sent wire.PolicySet, o wire.PutPolicy) (wire.PolicyState, error) {
	none := wire.PolicyState{}
	if err := m.require(ctx, c, core.ActionAdmin, policy.OperationPut); err != nil {
		return none, err
	}
	if err := m.ruledHere(); err != nil {
		return none, err
	}
	if o.Confirm != 0 && (o.Confirm < minConfirm || o.Confirm > maxConfirm) {
		return none, core.Errorf(core.ErrInvalid, "A policy waits to be confirmed for %v at least and %v at most", minConfirm, maxConfirm)
	}
	present, err := m.read(ctx)
	if err != nil {
		return none, err
	}
	if o.IfMatch != nil && !m.matches(o.IfMatch, present) {
		return none, core.Errorf(core.ErrPrecondition, "The policy is at another revision")
	}
	next := stored{Modules: sent.Modules, Data: sent.Data, Note: sent.Note}
	if o.Confirm > 0 {
		next.Pending = &pending{Until: m.now().Add(o.Confirm), Before: present.confirmed()}
		if err := m.comesBack(ctx, present); err != nil {
			return none, err
		}
	}
	return m.change(ctx, c, present, next, policy.OperationPut, o.DryRun)
}

// comesBack finds out whether what would come back in the place of an unconfirmed set could be put in force: one that this
// node does not decide by may be of another build, or lock the admins of today out.
func (m *Manager) comesBack(ctx context.Context, present held) error {
	before := present.confirmed()
	if before == nil || len(before.Modules) == 0 || !m.rescue && present.Pending == nil && m.snapshot().held.version == present.version {
		return nil
	}
	_, err := m.sandbox.Check(ctx, wire.PolicySet{Modules: before.Modules, Data: before.Data}, nil)
	if known := (*core.Error)(nil); errors.As(err, &known) && errors.Is(err, core.ErrInvalid) {
		return core.Errorf(core.ErrInvalid, "The policy before could not come back: %s; put this one without confirm", known.Detail).Because(err)
	}
	return err
}

// revisionOf names what If-Match is about.
func (m *Manager) revisionOf(present held) string {
	if present.version == 0 {
		return shipped(m.authorizer).Revision
	}
	return present.revision
}

// matches reports whether one of some revisions is the present one; where stored sets are passed over, that of the shipped
// rules, which a caller has seen, will do as well.
func (m *Manager) matches(revisions []string, present held) bool {
	return slices.Contains(revisions, m.revisionOf(present)) || m.rescue && slices.Contains(revisions, m.authorizer.Set().Revision)
}

// ruledHere refuses changes where the policy is kept elsewhere.
func (m *Manager) ruledHere() error {
	if m.source == nil {
		return nil
	}
	return core.Errorf(core.ErrConflict, "The policy comes from a %s: change it there", m.source.Kind())
}

// change stores a set that passes every check in the place of another.
func (m *Manager) change(ctx context.Context, c core.Caller, present held, next stored, operation string, dry bool) (wire.PolicyState, error) {
	none := wire.PolicyState{}
	if len(next.Note) > maxNote {
		return none, core.Errorf(core.ErrInvalid, "A note has at most %d bytes", maxNote)
	}
	set, err := next.set("")
	if err != nil {
		return none, err
	}
	value, err := next.encode()
	if err != nil {
		return none, err
	}
	verdict, tests, err := preflight(ctx, m.authorizer, m.sandbox, set, &c)
	if err != nil {
		return none, err
	}
	if dry {
		return wire.PolicyState{
			Source: "server", Revision: m.revisionOf(present), LoadedAt: m.now(), Modules: next.Modules, Data: next.Data, Note: next.Note,
			Author: c.Subject.Username, Rescue: m.rescue, Reads: verdict.Reads, Warnings: verdict.Warnings, DryRun: true, Tests: tests,
		}, nil
	}
	state, err := m.write(ctx, c, core.PolicyWrite{
		Value: value, Version: present.version, InForce: m.inForce(present, set), Note: next.Note, Operation: operation,
	})
	state.Tests = tests
	return state, err
}

// inForce is the mark of a set that replaces another; nil where it decides as what is marked does, so that nobody who
// watches begins anew for nothing.
func (m *Manager) inForce(present held, next policy.Set) []byte {
	is, digest := m.snapshot(), m.authorizer.Digest(next)
	if m.rescue || is.marked && is.held.version == present.version && digest == m.authorizer.Digest(m.authorizer.Set()) {
		return nil
	}
	return []byte(digest)
}

// write stores a set and loads it.
func (m *Manager) write(ctx context.Context, c core.Caller, w core.PolicyWrite) (wire.PolicyState, error) {
	_, err := m.engine.WritePolicy(ctx, c, w)
	switch {
	case errors.Is(err, core.ErrConflict):
		return wire.PolicyState{}, core.Errorf(core.ErrConflict, "The policy was changed meanwhile: read it and try again").Because(err)
	case err != nil:
		return wire.PolicyState{}, err
	}
	ctx = context.WithoutCancel(ctx) // it is stored: whoever asked does not undo it by leaving
	if err := m.catchUp(ctx); err != nil {
		return wire.PolicyState{}, core.Errorf(core.ErrUnavailable, "The policy is stored, but this node has not loaded it yet").Because(err)
	}
	return m.describe()
}
