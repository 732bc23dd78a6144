// Package authoring is how a policy becomes another: it is put, tried, confirmed, rolled back and watched, and explained.
package authoring

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/policy/source"
	"github.com/dynconfig/dynconfig/wire"
)

// Options are what a Manager works with. Engine and Authorizer are required; what is nil is not there.
type Options struct {
	Engine     *core.Engine
	Authorizer *policy.Authorizer // the Engine's own
	Source     source.Source      // where the policy comes from, which Start has put in force; nil: what is put through the server
	Rescue     bool               // decide by the shipped rules, whatever is stored
	Sandbox    Sandbox            // nil: drafts are tried in this process
	Decisions  Decisions          // nil: none are recorded
	HideDenied bool               // a denied read looks like an absent item
	Logger     *slog.Logger       // nil: none
	Now        func() time.Time   // nil: time.Now
}

// Sandbox tries drafts where they can do no harm.
type Sandbox interface {
	// Check compiles a set and finds out who could change the policy under it. A nil caller: nobody puts it.
	Check(ctx context.Context, set wire.PolicySet, caller *core.Caller) (policy.Verdict, error)
	// Test runs the tests of a set.
	Test(ctx context.Context, set wire.PolicySet) (wire.PolicyTests, error)
	// Replay asks a set again what was recorded.
	Replay(ctx context.Context, set wire.PolicySet, records iter.Seq2[wire.Decision, error]) (wire.Replayed, error)
}

// Decisions are the records of what was decided.
type Decisions interface {
	Query(ctx context.Context, f wire.DecisionFilter) (wire.Decisions, error)
	// Each calls do for each record in [since, until), oldest first.
	Each(ctx context.Context, since, until time.Time, do func(wire.Decision) error) error
}

// Manager is what the policy routes call. It keeps the Authorizer at the policy that is in force: what its source holds, or
// what is stored. Every method for a caller authorizes it by itself.
type Manager struct {
	engine     *core.Engine
	authorizer *policy.Authorizer
	source     source.Source
	rescue     bool
	sandbox    Sandbox
	decisions  Decisions
	hideDenied bool
	log        *slog.Logger
	now        func() time.Time

	loading sync.Mutex // held while another set is put in force
	refused refusal    // the set that was last found to be unfit; loading guards it

	mu    sync.Mutex // guards what follows
	state state
}

// state is what a Manager knows of what is in force.
type state struct {
	kind      string // of where it comes from: shipped, server, directory, bundle; empty: nothing is loaded yet
	set       policy.Set
	held      held // the stored set that is in force; with Rescue, that would be
	verdict   policy.Verdict
	loaded    time.Time
	since     core.Revision // what was shown up to here may have been judged by the policy before
	marked    bool          // the log says after that what is in force
	lastError string

	loads, failures uint64
}

// Open puts in force what is stored, unless a Source or Rescue says otherwise. It starts no goroutine: Run does.
func Open(ctx context.Context, o Options) (*Manager, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	m := &Manager{
		engine: o.Engine, authorizer: o.Authorizer, source: o.Source, rescue: o.Rescue, sandbox: orInProcess(o.Sandbox, o.Authorizer),
		decisions: o.Decisions, hideDenied: o.HideDenied, log: o.Logger,
		now: func() time.Time { return o.Now().UTC().Truncate(time.Microsecond) },
	}
	if err := m.open(ctx); err != nil {
		return nil, err
	}
	if err := m.mark(ctx); err != nil {
		m.log.WarnContext(ctx, "policy in force is not marked in the log yet", "error", err)
	}
	return m, nil
}

func (m *Manager) open(ctx context.Context) error {
	if m.source != nil {
		set := m.authorizer.Set()
		verdict, err := m.authorizer.Check(ctx, set, nil)
		if err != nil {
			return err
		}
		return m.adopt(ctx, m.source.Kind(), set, held{}, verdict)
	}
	if err := m.adoptShipped(ctx); err != nil || m.rescue {
		return err
	}
	m.state.kind = "" // what is stored has yet to be seen
	err := m.fromStore(ctx)
	if known := (*core.Error)(nil); errors.As(err, &known) && errors.Is(err, core.ErrInvalid) {
		return core.Errorf(core.ErrInvalid, "The stored policy cannot be put in force: %s; start with --policy shipped to put another", known.Detail).Because(err)
	}
	return err
}

// The longest that Run waits before it looks by itself, and how it waits after a failure.
const (
	idle     = time.Minute
	retry    = time.Second
	maxRetry = 30 * time.Second
)

// Run keeps the policy at what its source or the store has, until ctx ends.
func (m *Manager) Run(ctx context.Context) error {
	again := retry
	for {
		wait := m.wait()
		if err := errors.Join(m.catchUp(ctx), m.mark(ctx)); err != nil {
			wait, again = min(max(wait, retry), again), min(2*again, maxRetry) // a set that is over is due all the time
		} else {
			wait, again = m.wait(), retry
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-m.engine.PolicyMoved():
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// wait returns how long nothing is to be done that is known of.
func (m *Manager) wait() time.Duration {
	if m.source != nil {
		return m.source.Every()
	}
	if pending := m.snapshot().held.Pending; pending != nil {
		return min(idle, max(0, pending.Until.Sub(m.now())))
	}
	return idle
}

// Health is a word for the policy: degraded where a newer one could not be loaded, or stored ones are passed over.
func (m *Manager) Health() string {
	if m.rescue || m.snapshot().lastError != "" {
		return core.Degraded
	}
	return core.Healthy
}

// Stats are a Manager's figures, counted since the start.
type Stats struct {
	Loads    uint64 // sets that were put in force here
	Failures uint64 // times that what the source or the store has was not
	Degraded bool   // Health is
}

// Stats returns the figures.
func (m *Manager) Stats() Stats {
	is := m.snapshot()
	return Stats{Loads: is.loads, Failures: is.failures, Degraded: m.Health() != core.Healthy}
}

func (m *Manager) snapshot() state {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}
