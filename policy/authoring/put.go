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
	return m.change(ctx, c, policy.OperationPut, o.DryRun, func(present held) (stored, error) {
		if err := m.holds(o.PolicyCondition, present); err != nil {
			return stored{}, err
		}
		next := stored{Modules: sent.Modules, Data: sent.Data, Note: sent.Note}
		if o.Confirm == 0 {
			return next, nil
		}
		next.Pending = &pending{Until: m.now().Add(o.Confirm), Before: present.confirmed()}
		return next, m.comesBack(ctx, present)
	})
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

// holds reports what of a condition is not so. There always is a policy, so that "*" names the present one.
func (m *Manager) holds(c wire.PolicyCondition, present held) error {
	switch {
	case c.IfMatch != nil && !m.matches(c.IfMatch, present):
		return core.Errorf(core.ErrPrecondition, "The policy is at another revision")
	case slices.Contains(c.IfNoneMatch, "*") || m.matches(c.IfNoneMatch, present):
		return core.Errorf(core.ErrPrecondition, "The policy is at that revision")
	}
	return nil
}

// ruledHere refuses changes where the policy is kept elsewhere.
func (m *Manager) ruledHere() error {
	if m.source == nil {
		return nil
	}
	return core.Errorf(core.ErrConflict, "The policy comes from a %s: change it there", m.source.Kind())
}

// maxTries is how often a change is worked out anew because another came between.
const maxTries = 64

// change stores the set that next makes of the present one, if it passes every check. What next decides by may be another
// thing when it is asked again, the modules and data not.
func (m *Manager) change(
	ctx context.Context, c core.Caller, operation string, dry bool, next func(present held) (stored, error),
) (wire.PolicyState, error) {
	none := wire.PolicyState{}
	present, planned, err := m.plan(ctx, next)
	if err != nil {
		return none, err
	}
	if len(planned.Note) > maxNote {
		return none, core.Errorf(core.ErrInvalid, "A note has at most %d bytes", maxNote)
	}
	set, err := planned.set("")
	if err != nil {
		return none, err
	}
	if _, err := planned.encode(); err != nil {
		return none, err
	}
	verdict, tests, err := preflight(ctx, m.authorizer, m.sandbox, set, &c)
	if err != nil {
		return none, err
	}
	if dry {
		return wire.PolicyState{
			Source: "server", Revision: m.revisionOf(present), LoadedAt: m.now(), Modules: planned.Modules, Data: planned.Data, Note: planned.Note,
			Author: c.Subject.Username, Rescue: m.rescue, Reads: verdict.Reads, Warnings: verdict.Warnings, DryRun: true, Tests: tests,
		}, nil
	}
	for try := 1; ; try++ {
		value, err := planned.encode()
		if err != nil {
			return none, err
		}
		state, err := m.write(ctx, c, core.PolicyWrite{
			Value: value, Version: present.version, InForce: m.inForce(present, set), Note: planned.Note, Operation: operation,
		}, verdict)
		if err == nil || !errors.Is(err, core.ErrConflict) || try == maxTries {
			state.Tests = tests
			return state, err
		}
		if present, planned, err = m.plan(ctx, next); err != nil {
			return none, err
		}
	}
}

// plan makes the next set of what is stored now.
func (m *Manager) plan(ctx context.Context, next func(held) (stored, error)) (held, stored, error) {
	present, err := m.read(ctx)
	if err != nil {
		return held{}, stored{}, err
	}
	planned, err := next(present)
	return present, planned, err
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
func (m *Manager) write(ctx context.Context, c core.Caller, w core.PolicyWrite, v policy.Verdict) (wire.PolicyState, error) {
	entry, err := m.engine.WritePolicy(ctx, c, w)
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
	if state, err := m.describe(); err != nil || state.Revision == m.revisionAt(entry) {
		return state, err
	}
	return m.describeStored(heldIn(m.engine.Epoch(), entry), v), nil
}

func (m *Manager) revisionAt(entry core.Entry) string {
	return core.Position{Epoch: m.engine.Epoch(), Revision: entry.Revision}.String()
}
