package core

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// tail follows the log of the store: one for each node. It applies commits in order, each once, to the index and to the
// ring, whether they come from this node's writers, with a hint, or from the log itself.
type tail struct {
	store Store
	bus   Bus
	poll  time.Duration
	log   *slog.Logger
	now   func() time.Time
	epoch func() string
	other bool        // other processes write to the store, too
	away  atomic.Bool // the log could not be read when run last tried
	index *index
	keep  func(*item, *Entry) // caches a value that came with a commit

	applied atomic.Int64
	heard   atomic.Int64 // unix microseconds: when the store last had no more than is applied

	mu      sync.Mutex
	ring    ring
	early   map[Revision]Commit   // own commits that wait for the ones before them
	waits   map[Revision]*awaited // by the revision that is waited for
	keys    map[Key]*awaited
	ruled   chan struct{} // closed when a namespace's rules change; nil: nobody waits
	looking sync.Mutex    // one reader of the log at a time

	grown   chan struct{} // capacity 1: the ring has something for the dispatcher
	policy  chan struct{} // capacity 1: an entry of KindPolicy changed
	commits atomic.Uint64
}

// storeTimeout is how long the store is waited for where nobody else set a limit.
const storeTimeout = 5 * time.Second

// maxEarly is how many own commits wait for earlier ones before the log is read instead.
const maxEarly = 4096

func newTail(b *Backend, e *Engine) *tail {
	return &tail{
		store: b.Store, bus: b.Bus, poll: e.options.Poll, log: e.log, now: e.now, epoch: e.Epoch, other: b.Limits.Shared,
		index: e.index, keep: e.values.keep,
		early: map[Revision]Commit{}, keys: map[Key]*awaited{}, waits: map[Revision]*awaited{}, grown: make(chan struct{}, 1),
		policy: make(chan struct{}, 1),
	}
}

func (t *tail) head() Revision { return Revision(t.applied.Load()) }

// offer takes a commit in that may be the next one. Earlier ones are passed over, later ones wait.
func (t *tail) offer(c Commit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch next := t.head() + 1; {
	case c.Revision < next:
		return
	case c.Revision > next:
		if len(t.early) < maxEarly {
			t.early[c.Revision] = c
		}
		return
	}
	t.apply(c)
	for len(t.early) > 0 {
		c, ok := t.early[t.head()+1]
		if !ok {
			return
		}
		t.apply(c)
	}
}

// apply makes the next commit visible on this node; t.mu is held.
func (t *tail) apply(c Commit) {
	delete(t.early, c.Revision)
	items, ruled := t.index.apply(c)
	for i, it := range items {
		if ch := &c.Changes[i]; ch.Do == OpPut && it.revision == c.Revision {
			entry := ch.Entry
			t.keep(it, &entry)
		}
		if w := t.keys[it.key]; w != nil {
			close(w.over)
			delete(t.keys, it.key)
		}
		if touchesPolicy(it) {
			t.policyMoved()
		}
	}
	p := publish(t.index, c)
	p.ruled = ruled
	t.ring.push(p)
	t.applied.Store(int64(c.Revision))
	t.commits.Add(1)
	if w := t.waits[c.Revision]; w != nil {
		close(w.over)
		delete(t.waits, c.Revision)
	}
	if ruled != nil && t.ruled != nil {
		close(t.ruled)
		t.ruled = nil
	}
	t.grew()
}

// grew has the hub look into the ring.
func (t *tail) grew() {
	select {
	case t.grown <- struct{}{}:
	default:
	}
}

func (t *tail) policyMoved() {
	select {
	case t.policy <- struct{}{}:
	default:
	}
}

// wait returns when this node has applied a revision, or with the context's error. Those who wait are woken by their own
// revision alone: many writers wait at once.
func (t *tail) wait(ctx context.Context, rev Revision) error {
	for t.head() < rev {
		applied, release := t.reached(rev)
		timer := time.NewTimer(lookAfter)
		var err error
		select {
		case <-applied:
		case <-ctx.Done():
			err = ctx.Err()
		case <-timer.C: // a commit between may be another node's
			err = t.look(ctx, rev)
		}
		timer.Stop()
		release()
		if err != nil {
			return err
		}
	}
	return nil
}

// reached returns a channel that is closed when a revision is applied. It is let go with release.
func (t *tail) reached(rev Revision) (applied <-chan struct{}, release func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := join(t.waits, rev)
	if t.head() >= rev {
		close(w.over)
		delete(t.waits, rev)
	}
	return w.over, func() { leave(t, t.waits, rev, w) }
}

// lookAfter is how long a reader waits for a gap in the log to close by itself before it reads the log.
const lookAfter = 2 * time.Millisecond

// awaited is what those wait on who wait for the same thing.
type awaited struct {
	over chan struct{} // closed when it has come
	many int
}

// join adds one who waits; t.mu is held.
func join[K comparable](all map[K]*awaited, k K) *awaited {
	w := all[k]
	if w == nil {
		w = &awaited{over: make(chan struct{})}
		all[k] = w
	}
	w.many++
	return w
}

// leave takes out one who waited.
func leave[K comparable](t *tail, all map[K]*awaited, k K, w *awaited) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.many--; w.many == 0 && all[k] == w {
		delete(all, k)
	}
}

// interest returns channels that are closed when a key changes, and when any namespace is ruled anew. They must be taken
// before looking, and let go with release.
func (t *tail) interest(key Key) (changed, ruled <-chan struct{}, release func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := join(t.keys, key)
	if t.ruled == nil {
		t.ruled = make(chan struct{})
	}
	return w.over, t.ruled, func() { leave(t, t.keys, key, w) }
}

// after returns a number of the commits that the ring holds after a revision; ok is false if some are only in the log by now.
func (t *tail) after(rev Revision, most int) ([]*published, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if rev >= t.head() { // also when the ring is empty, as after the log was loaded anew
		return nil, true
	}
	return t.ring.after(rev, most)
}

// trim has the ring hold no more than the log does, so that every node gives the same answer to who resumes from before.
func (t *tail) trim(upTo Revision) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ring.trim(upTo)
}

// theEnd is a revision for look that no log reaches.
const theEnd = Revision(math.MaxInt64)

// look reads the log until this node has applied enough of it, at the longest until its end: under writes that do not cease,
// the end may be far to seek.
func (t *tail) look(ctx context.Context, enough Revision) error {
	t.looking.Lock()
	defer t.looking.Unlock()
	for t.head() < enough {
		asked := t.now()
		commits, err := t.read(ctx)
		if err != nil {
			return err
		}
		if len(commits) == 0 {
			t.hear(asked)
			return nil
		}
		for _, c := range commits {
			t.offer(c)
		}
	}
	return nil
}

// hear notes when the store was asked how far its log goes, once this node has applied all that it had then.
func (t *tail) hear(asked time.Time) {
	for at := asked.UnixMicro(); ; {
		if heard := t.heard.Load(); heard >= at || t.heard.CompareAndSwap(heard, at) {
			return
		}
	}
}

func (t *tail) read(ctx context.Context) ([]Commit, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return t.store.Log(ctx, t.head(), 0)
}

// silence returns for how long the store has not been heard of.
func (t *tail) silence() time.Duration {
	return t.now().Sub(time.UnixMicro(t.heard.Load()))
}

// errRewritten says that the store's history is not the one that this node follows.
var errRewritten = errors.New("the log was rewritten")

// verify finds out whether the store still has the history that this node follows, and how far it goes.
func (t *tail) verify(ctx context.Context) (Revision, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	head := t.head()
	status, err := t.store.Status(ctx)
	if err == nil && (status.Epoch != t.epoch() || status.Head < head) {
		return 0, errRewritten
	}
	return status.Head, err
}

// run follows hints, and looks by itself every poll. rebuild is called when the log no longer leads on from here. A bus
// that cannot be listened to, or whose listening ended, is tried again at the next poll.
func (t *tail) run(ctx context.Context, rebuild func(context.Context) error) {
	ticker := time.NewTicker(t.poll)
	defer ticker.Stop()
	hints := t.listen(ctx)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-ticker.C:
			if hints == nil {
				hints = t.listen(ctx)
			}
			t.report(ctx, t.tick(ctx, rebuild))
		case h, ok := <-hints:
			if !ok {
				hints = nil
				continue
			}
			if h.Commit != nil {
				t.offer(*h.Commit)
			}
			switch {
			case h.Head == 0:
				t.report(ctx, t.catchUp(ctx, theEnd, rebuild))
			case h.Head > t.head():
				t.report(ctx, t.catchUp(ctx, h.Head, rebuild))
			}
		}
	}
}

func (t *tail) listen(ctx context.Context) <-chan Hint {
	if t.bus == nil {
		return nil
	}
	hints, err := t.bus.Listen(ctx)
	if err != nil && ctx.Err() == nil {
		t.log.Warn("bus cannot be listened to; changes are found by polling", "error", err)
	}
	return hints
}

// tick does one poll: the history may be another one, and the log may have grown without a hint.
func (t *tail) tick(ctx context.Context, rebuild func(context.Context) error) error {
	if !t.other {
		return t.catchUp(ctx, theEnd, rebuild)
	}
	asked := t.now()
	head, err := t.verify(ctx)
	if errors.Is(err, errRewritten) {
		return rebuild(ctx)
	}
	if err == nil {
		err = t.catchUp(ctx, head, rebuild)
	}
	if err == nil {
		t.hear(asked)
	}
	return err
}

func (t *tail) catchUp(ctx context.Context, enough Revision, rebuild func(context.Context) error) error {
	err := t.look(ctx, enough)
	if errors.Is(err, ErrCompacted) {
		return rebuild(ctx)
	}
	return err
}

// report logs that the store went away, and that it came back, once each.
func (t *tail) report(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
	case err != nil && !t.away.Swap(true):
		t.log.Warn("log cannot be read; reads go on from what this node holds", "error", err)
	case err == nil && t.away.Swap(false):
		t.log.Info("log can be read again")
	}
}
