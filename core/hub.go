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
	tail *tail

	mu         sync.Mutex
	dispatched Revision      // every watcher has been handed its share of the log up to here
	moved      chan struct{} // closed when dispatched grows; nil: nobody waits
	interests  map[EnvID]*interests
	watchers   map[*Watcher]struct{}
	patterns   int

	ticks atomic.Int64 // of hubTick, a coarse clock for bookmarks
}

// interests is the index from what may change to who wants to know.
type interests struct {
	exact map[string]watcherSet // by key
	below map[string]watcherSet // by namespace, RootName for all
}

type watcherSet map[*Watcher]struct{}

// hubTick is how often the hub looks for what time alone brings about: bookmarks that are due, another policy.
const (
	hubTick       = 250 * time.Millisecond
	bookmarkTicks = 45 * 4 // 45 s, so that a bookmark is never older than 60 s
)

func newHub(t *tail) *hub {
	return &hub{tail: t, interests: map[EnvID]*interests{}, watchers: map[*Watcher]struct{}{}, dispatched: t.head()}
}

// run dispatches commits as the ring grows, until ctx ends. generation is the authorizer's.
func (h *hub) run(ctx context.Context, generation func() uint64) {
	ticker := time.NewTicker(hubTick)
	defer ticker.Stop()
	last := generation()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.tail.grown:
			h.catchUp()
		case <-ticker.C:
			h.ticks.Add(1)
			g := generation()
			h.remind(g != last)
			last = g
		}
	}
}

// catchUp dispatches all that the ring holds beyond the last commit dispatched.
func (h *hub) catchUp() {
	for {
		commits, ok := h.tail.after(h.position())
		if !ok { // the ring was outrun: every watcher finds out from the index what it missed
			h.overrun(h.tail.head())
			continue
		}
		if len(commits) == 0 {
			return
		}
		for _, p := range commits {
			h.dispatch(p)
		}
	}
}

func (h *hub) position() Revision {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dispatched
}

func (h *hub) dispatch(p *published) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.revision <= h.dispatched {
		return
	}
	for i := range p.changes {
		c := &p.changes[i]
		in := h.interests[c.env]
		if in == nil {
			continue
		}
		in.exact[c.name].push(p)
		in.below[RootName].push(p)
		for i := 1; i < len(c.name); i++ {
			if separator(c.name[i]) {
				in.below[c.name[:i]].push(p)
			}
		}
	}
	for _, ns := range p.ruled {
		for w := range h.watchers {
			if w.env == ns.env && w.meets(ns.name) {
				w.push(p)
			}
		}
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

// overrun makes every watcher look into the index for what it missed.
func (h *hub) overrun(to Revision) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		w.fallBehind()
	}
	h.advance(to)
}

// remind wakes watchers whose bookmark is due, or all of them when earlier decisions no longer hold.
func (h *hub) remind(redecide bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		w.remind(h.ticks.Load(), redecide)
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
func (h *hub) reset(to Revision) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		w.remind(h.ticks.Load(), true)
	}
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
	in := h.interests[w.env]
	if in == nil {
		in = &interests{exact: map[string]watcherSet{}, below: map[string]watcherSet{}}
		h.interests[w.env] = in
	}
	sets, name := in.sets(p)
	if sets[name] == nil {
		sets[name] = watcherSet{}
	}
	sets[name][w] = struct{}{}
	h.patterns++
}

func (h *hub) drop(w *Watcher, p Pattern) {
	in := h.interests[w.env]
	sets, name := in.sets(p)
	delete(sets[name], w)
	if len(sets[name]) == 0 {
		delete(sets, name)
	}
	h.patterns--
}

func (in *interests) sets(p Pattern) (map[string]watcherSet, string) {
	if p.Below != "" {
		return in.below, p.Below
	}
	return in.exact, p.Exact
}

func (h *hub) counts() (watchers, patterns int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.watchers), h.patterns
}
