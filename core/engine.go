package core

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Retention says how much of the log is kept.
type Retention struct {
	Age      time.Duration // commits younger than this, 0: 7 days,
	Commits  int64         // but at most so many, 0: 1,000,000
	Versions int           // and at least so many versions of each key, 0: 10
}

// Options are the Engine's optional parts; the zero value works.
type Options struct {
	Authorizer Authorizer       // nil: denies everything
	Audit      Audit            // nil: the backend's, else none
	Logger     *slog.Logger     // nil: none
	Now        func() time.Time // nil: time.Now
	Retention  Retention
	MaxStale   time.Duration // how long reads go on while a shared store is away; 0: 60s
	Poll       time.Duration // how often the tail looks when nothing hints; 0: 1s
	CacheBytes int64         // of values kept in this process; 0: 64 MiB
}

func (o Options) withDefaults(b *Backend) Options {
	if o.Authorizer == nil {
		o.Authorizer = DenyAll{}
	}
	if o.Audit == nil {
		o.Audit = b.Audit
	}
	if o.Audit == nil {
		o.Audit = NoAudit{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Retention.Age == 0 {
		o.Retention.Age = 7 * 24 * time.Hour
	}
	if o.Retention.Commits == 0 {
		o.Retention.Commits = 1_000_000
	}
	if o.Retention.Versions == 0 {
		o.Retention.Versions = 10
	}
	if o.MaxStale == 0 {
		o.MaxStale = time.Minute
	}
	if o.Poll == 0 {
		o.Poll = time.Second
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 64 << 20
	}
	return o
}

// DenyAll is the Authorizer that denies everything.
type DenyAll struct{}

// Authorize denies.
func (DenyAll) Authorize(context.Context, *Subject, Access) (Decision, error) {
	return Decision{Rule: "no-policy", Reason: "no policy is loaded"}, nil
}

// Generation never changes.
func (DenyAll) Generation() uint64 { return 0 }

// NoAudit keeps no records.
type NoAudit struct{}

// Append forgets.
func (NoAudit) Append(...AuditEntry) {}

// Engine is DynConfig between a Backend and the transports: it authorizes, keeps the index, serves reads from it, turns
// writes into transactions, expires keys, and feeds watchers.
type Engine struct {
	store   Store
	bus     Bus
	limits  Limits
	options Options
	now     func() time.Time
	log     *slog.Logger

	epoch  atomic.Pointer[string]
	index  *index
	values *values
	tail   *tail
	hub    *hub
	expiry *expiry

	readers  chan struct{}                 // who may read the store for a catch-up
	loading  atomic.Pointer[chan struct{}] // closed when the index, which is loaded anew, is that of the log again; nil: it is
	inflight sync.Map                      // idempotency keys that are being worked on
	turns    keyLocks
	health   healthCache
	stats    counters
}

// catchUps is how many watchers read the store at once to catch up.
const catchUps = 4

// Open loads the index of a store. It starts no goroutine: Run does.
func Open(ctx context.Context, b *Backend, o Options) (*Engine, error) {
	o = o.withDefaults(b)
	e := &Engine{
		bus: b.Bus, limits: b.Limits, options: o, log: o.Logger,
		now:     func() time.Time { return o.Now().UTC().Truncate(time.Microsecond) },
		readers: make(chan struct{}, catchUps),
	}
	e.store = &bounded{Store: b.Store, engine: e}
	e.expiry = newExpiry(e)
	e.index = newIndex(e.expiry.note)
	e.values = &values{store: e.store, cache: b.Cache, epoch: e.Epoch, limit: o.CacheBytes}
	e.tail = newTail(b, e)
	status, err := e.store.Status(ctx)
	if err != nil {
		return nil, err
	}
	e.epoch.Store(&status.Epoch)
	from, err := e.load(ctx, e.index)
	if err != nil {
		return nil, err
	}
	e.tail.applied.Store(int64(from))
	if err := e.tail.look(ctx, theEnd); err != nil {
		return nil, err
	}
	e.hub = newHub(e.tail, status.Epoch, o.Authorizer.Generation)
	return e, nil
}

// load fills an index with the present state of the store and returns the revision from which the log leads on.
func (e *Engine) load(ctx context.Context, x *index) (Revision, error) {
	q := Query{NoValue: true, Deleted: true}
	var from Revision
	for first := true; ; first = false {
		page, err := e.store.List(ctx, q)
		if err != nil {
			return 0, err
		}
		if first {
			from = page.Revision
			x.revision = from
		}
		x.load(page.Entries)
		if !page.More {
			return from, nil
		}
		q.From = page.Entries[len(page.Entries)-1].Key + "\x00"
	}
}

// Run does what goes on without being asked, until ctx ends: it follows the log, feeds watchers, expires keys and compacts.
func (e *Engine) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { e.tail.run(ctx, e.rebuild) })
	wg.Go(func() { e.hub.run(ctx) })
	wg.Go(func() { e.expiry.run(ctx) })
	wg.Go(func() { e.compactRegularly(ctx) })
	wg.Wait()
	return nil
}

// rebuild loads everything anew, because the log no longer leads on from what this node knows. Watchers start over.
func (e *Engine) rebuild(ctx context.Context) error {
	e.log.Warn("the log was rewritten or compacted past this node; loading anew")
	done := make(chan struct{})
	e.loading.Store(&done)
	defer func() {
		e.loading.Store(nil)
		close(done)
	}()
	status, err := e.store.Status(ctx)
	if err != nil {
		return err
	}
	fresh := newIndex(e.expiry.note)
	from, err := e.load(ctx, fresh)
	if err != nil {
		return err
	}
	e.tail.mu.Lock()
	e.tail.ring.reset()
	clear(e.tail.early)
	e.index.become(fresh)
	e.tail.applied.Store(int64(from))
	e.epoch.Store(&status.Epoch) // last, see Epoch
	e.tail.mu.Unlock()
	err = e.tail.look(ctx, theEnd)
	e.hub.reset(status.Epoch, e.tail.head())
	e.tail.grew() // what came while the hub still knew the log of before
	e.tail.policyMoved()
	return err
}

// loaded waits while everything is loaded anew: a commit of the new log is not visible by the old one's revisions.
func (e *Engine) loaded(ctx context.Context) error {
	for {
		loading := e.loading.Load()
		if loading == nil {
			return nil
		}
		select {
		case <-*loading:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Epoch returns the store's epoch. Who makes a Position asks for it before the revision: a new revision by the name of the
// old epoch resumes with a reset, an old one by the name of the new epoch would miss what lies between.
func (e *Engine) Epoch() string { return *e.epoch.Load() }

// Head returns how far this node has applied the log.
func (e *Engine) Head() Position { return Position{Epoch: e.Epoch(), Revision: e.tail.head()} }

// Limits returns the backend's.
func (e *Engine) Limits() Limits { return e.limits }

// reader takes a place among those who read the store to catch up; release gives it back.
func (e *Engine) reader(ctx context.Context) (release func(), err error) {
	select {
	case e.readers <- struct{}{}:
		return func() { <-e.readers }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// environment returns the id of an environment by name.
func (e *Engine) environment(ctx context.Context, name string) (EnvID, error) {
	if name == "default" {
		return DefaultEnv, nil
	}
	if err := CheckEnvironment(name); err != nil {
		return "", err
	}
	id, ok := e.index.environment(name)
	if !ok && e.limits.Shared {
		if err := e.sync(ctx); err != nil {
			return "", err
		}
		id, ok = e.index.environment(name)
	}
	if !ok {
		return "", Errorf(ErrNotFound, "Environment does not exist")
	}
	return id, nil
}

// sync brings this node up to every commit acknowledged before the call.
func (e *Engine) sync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.within(storeTimeout))
	defer cancel()
	asked := e.now()
	rev, err := e.store.Sync(ctx)
	if err == nil {
		err = e.tail.wait(ctx, rev)
	}
	switch {
	case err == nil:
		e.tail.hear(asked)
	case errors.Is(err, ErrCompacted): // this node was overtaken by compaction, and is about to load everything anew
		return (&Error{Kind: ErrUnavailable, Detail: "This node has fallen behind; try again", Retry: time.Second}).Because(err)
	}
	return e.told(err)
}

// Reach waits until this node has applied a position, at most MinRevisionWait.
func (e *Engine) Reach(ctx context.Context, p Position) error {
	if p.Epoch != e.Epoch() {
		return Errorf(ErrCompacted, "Revision is of another epoch")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, MinRevisionWait, errNotReached)
	defer cancel()
	err := e.tail.wait(ctx, p.Revision)
	if err != nil && errors.Is(context.Cause(ctx), errNotReached) {
		return &Error{Kind: ErrUnavailable, Detail: "This node has not applied that revision yet", Retry: time.Second}
	}
	return e.told(err)
}

var errNotReached = errors.New("not reached in time")

// backoff returns how long to wait before try n, from 0, of something that others try too.
func backoff(n int) time.Duration {
	full := min(time.Millisecond<<n, 500*time.Millisecond)
	return full/2 + rand.N(full/2+1)
}

// pause sleeps, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
