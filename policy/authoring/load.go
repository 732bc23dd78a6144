package authoring

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
)

// catchUp makes the Authorizer decide by what its source has now, or by what is stored. What cannot be loaded is not, and
// the last good one stays.
func (m *Manager) catchUp(ctx context.Context) error {
	m.loading.Lock()
	defer m.loading.Unlock()
	var err error
	switch {
	case m.source != nil:
		err = m.fromSource(ctx)
	case m.rescue:
		err = m.rescued(ctx)
	default:
		err = m.fromStore(ctx)
	}
	m.report(ctx, err)
	return err
}

func (m *Manager) fromSource(ctx context.Context) error {
	set, err := m.source.Read(ctx)
	if err != nil {
		return err
	}
	if now := m.authorizer.Set(); set.Revision == now.Revision && m.authorizer.Digest(set) == m.authorizer.Digest(now) {
		return nil
	}
	if m.stillRefused() && m.refused.is(set) {
		return m.refused.err
	}
	verdict, _, err := preflight(ctx, m.authorizer, m.sandbox, set, nil)
	if err != nil {
		return m.refuse(set, err)
	}
	return m.adopt(ctx, m.source.Kind(), set, held{}, verdict)
}

// refusal is a set that is not put in force, and why: it is not tried again and again.
type refusal struct {
	set policy.Set
	err error
	at  time.Time
}

// refusedFor is how long a refused set is not tried again. It may do then, if it reads the time, or if a check of it was late.
const refusedFor = time.Minute

func (m *Manager) stillRefused() bool { return m.now().Sub(m.refused.at) < refusedFor }

// is reports whether a set is the refused one. A source may give another the same revision.
func (r *refusal) is(set policy.Set) bool {
	return r.set.Revision == set.Revision && maps.Equal(r.set.Modules, set.Modules) && reflect.DeepEqual(r.set.Data, set.Data)
}

// refuse remembers what is wrong with a set, if it will be at the next time, too.
func (m *Manager) refuse(set policy.Set, err error) error {
	if errors.Is(err, core.ErrInvalid) || errors.Is(err, core.ErrTooLarge) {
		m.refused = refusal{set, err, m.now()}
	}
	return err
}

// rescued keeps to the shipped rules, but knows what is stored.
func (m *Manager) rescued(ctx context.Context) error {
	h, err := m.current(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.held = h
	return nil
}

func (m *Manager) fromStore(ctx context.Context) error {
	h, err := m.current(ctx)
	if err != nil {
		return err
	}
	if is := m.snapshot(); is.kind != "" && is.held.version == h.version && is.held.revision == h.revision {
		return nil
	}
	if h.version == 0 {
		return m.adoptShipped(ctx)
	}
	if m.stillRefused() && h.revision == m.refused.set.Revision {
		return m.refused.err
	}
	set, err := h.load()
	if err != nil {
		return m.refuse(policy.Set{Revision: h.revision}, err)
	}
	verdict, err := m.authorizer.Check(ctx, set, nil) // its tests have passed where it was put
	if err != nil {
		return m.refuse(set, err)
	}
	return m.adopt(ctx, "server", set, h, verdict)
}

// current returns what is stored, after putting an end to what was not confirmed in time.
func (m *Manager) current(ctx context.Context) (held, error) {
	h, err := m.read(ctx)
	if err != nil || h.Pending == nil || m.now().Before(h.Pending.Until) {
		return h, err
	}
	if err := m.revert(ctx, h); err != nil && !errors.Is(err, core.ErrConflict) { // another node may have been first
		return held{}, err
	}
	return m.read(ctx)
}

// revert stores the set that was confirmed last.
func (m *Manager) revert(ctx context.Context, h held) error {
	before := stored{}
	if h.Pending.Before != nil {
		before = *h.Pending.Before
	}
	w := core.PolicyWrite{Version: h.version, Note: h.revision + " was not confirmed in time", Operation: eventRevert}
	set, err := before.set("")
	if err == nil {
		w.Value, err = before.encode()
	}
	if err != nil {
		return err
	}
	w.InForce = m.inForce(h, set)
	if _, err = m.engine.RevertPolicy(ctx, w); err == nil {
		m.log.InfoContext(ctx, "policy was not confirmed in time; the one before is back", "revision", h.revision)
	}
	return err
}

func (m *Manager) adoptShipped(ctx context.Context) error {
	set := shipped(m.authorizer)
	verdict, err := m.authorizer.Check(ctx, set, nil)
	if err != nil {
		return err
	}
	return m.adopt(ctx, "shipped", set, held{}, verdict)
}

// shipped is the set of a server that nobody gave one, by the name of all that then decides.
func shipped(a *policy.Authorizer) policy.Set {
	return policy.Set{Revision: a.Digest(policy.Set{})[:source12]}
}

// source12 is how much of a digest names a set.
const source12 = 12

// adopt puts a set in force.
func (m *Manager) adopt(ctx context.Context, kind string, set policy.Set, h held, v policy.Verdict) error {
	was := m.authorizer.Generation()
	if err := m.authorizer.Load(ctx, set); err != nil {
		return err
	}
	m.mu.Lock()
	first := m.state.kind == ""
	if first || m.authorizer.Generation() != was {
		m.state.loaded = m.now()
	}
	if !first && m.authorizer.Generation() != was {
		m.state.since = m.engine.Head().Revision
	}
	m.state.kind, m.state.set, m.state.held, m.state.verdict = kind, set, h, v
	m.state.loads++
	m.state.marked = m.state.marked && m.authorizer.Generation() == was
	m.mu.Unlock()
	if !first {
		m.log.InfoContext(ctx, "policy loaded", "source", kind, "revision", set.Revision)
	}
	return nil
}

// markTime is how long a start or a reload waits for the store to take the mark.
const markTime = 5 * time.Second

// mark writes into the log what decides by now, so that a watcher that resumes from before is told to begin anew. A store
// that is away is tried again: what is in force does not wait for it.
func (m *Manager) mark(ctx context.Context) error {
	if m.snapshot().marked {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, markTime)
	defer cancel()
	digest := m.authorizer.Digest(m.authorizer.Set())
	if err := m.engine.MarkPolicy(ctx, []byte(digest), m.snapshot().since); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.marked = digest == m.authorizer.Digest(m.authorizer.Set())
	return nil
}

// report keeps why a newer set is not in force, and logs it once.
func (m *Manager) report(ctx context.Context, err error) {
	if ctx.Err() != nil || m.source == nil && errors.Is(err, core.ErrUnavailable) { // the store is away, which others say
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.state.failures++
	}
	said := sentence(err)
	if said == m.state.lastError {
		return
	}
	m.state.lastError = said
	if err != nil {
		m.log.WarnContext(ctx, "policy not loaded; the last good one stays", "error", err)
	}
}

// sentence is what may be said of an error to those who read the policy.
func sentence(err error) string {
	var known *core.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &known) && known.Detail != "":
		return known.Detail
	}
	return fmt.Sprintf("The policy could not be read: %v", core.KindOf(err))
}
