package core

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// hub knows who is interested in what, and hands each commit to those alone: its cost grows with the interested watchers,
// not with all.
type hub struct {
	tail       *tail
	generation func() uint64 // the authorizer's

	mu         sync.Mutex
	epoch      string        // of the log that is dispatched
	dispatched Revision      // every watcher has been handed its share of the log up to here
	moved      chan struct{} // closed when dispatched grows; nil: nobody waits
	interests  map[EnvID]*interests
	watchers   map[*Watcher]struct{}
	patterns   int
	policy     *uint64  // the generation of the policy that watchers are judged by; nil: not known yet
	governed   Revision // how far commits may have been judged by another policy

	ticks atomic.Int64 // of hubTick, a coarse clock for bookmarks
}

// hubTick is how often the hub looks for what no commit tells of: bookmarks that are due, another policy.
const (
	hubTick       = 250 * time.Millisecond
	bookmarkTicks = 45 * 4 // 45 s, so that a bookmark is never older than 60 s
)

func newHub(t *tail, epoch string, generation func() uint64) *hub {
	return &hub{
		tail: t, generation: generation, interests: map[EnvID]*interests{}, watchers: map[*Watcher]struct{}{},
		epoch: epoch, dispatched: t.head(),
	}
}

// run dispatches commits as the ring grows, until ctx ends.
func (h *hub) run(ctx context.Context) {
	ticker := time.NewTicker(hubTick)
	defer ticker.Stop()
	h.govern()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.tail.grown:
			h.catchUp()
		case <-ticker.C:
			h.ticks.Add(1)
			h.govern()
			h.remind()
		}
	}
}

// govern looks for another policy. When there is one every watcher begins anew, and so will whoever resumes from before
// this. The generation is read under the lock, lest one of before is taken for a new one.
func (h *hub) govern() {
	h.mu.Lock()
	defer h.mu.Unlock()
	generation := h.generation()
	if h.policy != nil && *h.policy != generation {
		h.governed = h.dispatched
		h.restart()
	}
	h.policy = &generation
}

// restart makes every watcher forget and begin anew; h.mu is held.
func (h *hub) restart() {
	for w := range h.watchers {
		w.forget()
	}
}

// outlived reports whether what was sent up to a revision may have been judged by a policy that is no more.
func (h *hub) outlived(rev Revision) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.governed > 0 && rev <= h.governed
}

// catchUp dispatches all that the ring holds beyond the last commit dispatched.
func (h *hub) catchUp() {
	for h.step() {
	}
}

// step dispatches the next commit, and reports whether there was one. It reads the ring under the lock: what was read before a
// reset is of a log that is no more.
func (h *hub) step() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	commits, ok := h.tail.after(h.dispatched, 1)
	if !ok { // the ring was outrun: every watcher finds out from the index what it missed
		h.overrun(h.tail.head())
		return true
	}
	if len(commits) == 0 {
		return false
	}
	h.dispatch(commits[0])
	return true
}

func (h *hub) position() Position {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Position{Epoch: h.epoch, Revision: h.dispatched}
}

// dispatch hands a commit to those whom it concerns; h.mu is held.
func (h *hub) dispatch(p *published) {
	push := func(s watcherSet) { s.push(p) }
	for i := range p.changes {
		c := &p.changes[i]
		h.interests[c.env].changed(c.name, push)
	}
	for _, ns := range p.ruled {
		h.interests[ns.env].ruled(ns.name, push)
	}
	h.advance(p.revision)
}

func (h *hub) advance(to Revision) {
	h.dispatched = to
	if h.moved != nil {
		close(h.moved)
		h.moved = nil
	}
}

func (s watcherSet) push(p *published) {
	for w := range s {
		w.push(p)
	}
}

// overrun makes every watcher look into the index for what it missed; h.mu is held.
func (h *hub) overrun(to Revision) {
	for w := range h.watchers {
		w.fallBehind()
	}
	h.advance(to)
}

// remind wakes watchers whose bookmark is due.
func (h *hub) remind() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		w.remind(h.ticks.Load())
	}
}

// await returns when every commit up to a revision has been dispatched.
func (h *hub) await(ctx context.Context, rev Revision) error {
	for {
		h.mu.Lock()
		if h.dispatched >= rev {
			h.mu.Unlock()
			return nil
		}
		if h.moved == nil {
			h.moved = make(chan struct{})
		}
		moved := h.moved
		h.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reset makes every watcher forget and begin anew, after the log was rewritten.
func (h *hub) reset(epoch string, to Revision) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.restart()
	h.epoch = epoch
	h.governed = min(h.governed, to)
	h.advance(to)
}

func (h *hub) add(w *Watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watchers[w] = struct{}{}
}

// remove ends a watcher. It is closed under both locks, so that no subscription slips in behind.
func (h *hub) remove(w *Watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watchers, w)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.follows {
		h.drop(w, f.Pattern)
	}
	w.closed, w.follows, w.jobs, w.queue = true, nil, nil, nil
}

// follow and drop note and forget one pattern of a watcher; h.mu is held.
func (h *hub) follow(w *Watcher, p Pattern) {
	if h.interests[w.env] == nil {
		h.interests[w.env] = newInterests()
	}
	h.interests[w.env].add(w, p)
	h.patterns++
}

func (h *hub) drop(w *Watcher, p Pattern) {
	h.interests[w.env].remove(w, p)
	h.patterns--
}

func (h *hub) counts() (watchers, patterns int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.watchers), h.patterns
}
