package core

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"
)

// Subscribe follows more patterns. What came of it is said by Next: EventSubscribed or an EventError, which changes
// nothing.
func (w *Watcher) Subscribe(s Subscription) {
	w.do(func(ctx context.Context) error { return w.subscribe(ctx, s) })
}

// Unsubscribe follows patterns no longer. Patterns that were not followed are no error.
func (w *Watcher) Unsubscribe(id string, patterns []string) {
	w.do(func(context.Context) error {
		h := w.engine.hub
		h.mu.Lock()
		defer h.mu.Unlock()
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.closed {
			return nil
		}
		left := maps.Clone(w.follows)
		for _, text := range patterns {
			p, err := ParsePattern(text)
			if _, followed := left[p.id()]; err == nil && followed {
				delete(left, p.id())
				h.drop(w, p)
			}
		}
		w.follows = left
		w.out = append(w.out, Event{Kind: EventUnsubscribed, ID: id, Patterns: patterns, Position: w.at(w.position)})
		return nil
	})
}

// start is where the patterns of a Subscription begin.
type start struct {
	patterns []Pattern
	from     Position // of SinceRevision
	resume   bool     // from is set
	reset    bool     // from is out of reach
}

func (w *Watcher) subscribe(ctx context.Context, s Subscription) error {
	st, fault := w.check(s)
	if fault != nil {
		fault.ID = s.ID
		w.out = append(w.out, *fault)
		return nil
	}
	stale, err := w.engine.stale()
	if err != nil {
		return err
	}
	w.engine.hub.govern()
	if w.mu.Lock(); len(w.follows) == 0 { // there is nothing to forget; what is decided from here on counts
		w.anew.Store(false)
	}
	w.mu.Unlock()
	if err := w.mayWatch(ctx, st.patterns); err != nil {
		return aged(err, stale)
	}
	if st.resume {
		if err := w.reachable(ctx, &st); err != nil {
			return err
		}
	}
	if err := w.engine.hub.await(ctx, w.engine.tail.head()); err != nil {
		return err
	}
	before, at, ok := w.follow(st.patterns, s.Every)
	if !ok {
		w.out = append(w.out, Event{
			Kind: EventError, ID: s.ID, Code: CodeTooMany, Text: fmt.Sprintf("A connection follows at most %d patterns", MaxPatterns),
		})
		return nil
	}
	w.work = append(w.work, step{answer: true, do: func(context.Context) (bool, error) {
		w.out = append(w.out, Event{Kind: EventSubscribed, ID: s.ID, Patterns: s.Patterns})
		return true, nil
	}})
	switch {
	case st.reset || st.resume && w.engine.hub.outlived(st.from.Revision):
		w.startOver(st.patterns, at)
	case st.resume:
		w.resume(st, before, at)
	case s.Snapshot:
		w.snapshot(st.patterns, at)
		w.synced(at)
	case s.SinceVersion != nil:
		var wild []Pattern
		for _, p := range st.patterns {
			if p.Below != "" {
				wild = append(wild, p)
			}
		}
		w.snapshot(wild, at)
		w.sinceVersion(st.patterns, *s.SinceVersion, at)
		w.synced(at)
	}
	return nil
}

// check parses a Subscription; an event says what is wrong with it.
func (w *Watcher) check(s Subscription) (st start, fault *Event) {
	bad := func(code, text string) (start, *Event) {
		return start{}, &Event{Kind: EventError, Code: code, Text: text}
	}
	if len(s.Patterns) == 0 {
		return bad(CodeBadPattern, "Name at least one pattern")
	}
	seen := map[patternID]bool{}
	for _, text := range s.Patterns {
		p, err := ParsePattern(text)
		if err != nil {
			var e *Error
			errors.As(err, &e)
			return bad(CodeBadPattern, e.Detail)
		}
		if !seen[p.id()] {
			seen[p.id()] = true
			st.patterns = append(st.patterns, p)
		}
	}
	modes := btoi(s.SinceRevision != "") + btoi(s.SinceVersion != nil) + btoi(s.Snapshot)
	if modes > 1 {
		return bad(CodeBadMessage, "since_revision, since_version and snapshot exclude each other")
	}
	if s.SinceVersion != nil && *s.SinceVersion < 0 {
		return bad(CodeBadMessage, "since_version is not negative")
	}
	if s.SinceRevision != "" {
		p, err := ParsePosition(s.SinceRevision)
		if err != nil {
			return bad(CodeBadRevision, "since_revision is not one that this server gave out")
		}
		st.from, st.resume = p, true
	}
	return st, nil
}

// reachWait is how long a resume waits for this node to apply what another node has shown.
const reachWait = 5 * time.Second

// reachable finds out whether the log still leads on from where a resume begins; if not, it must start over.
func (w *Watcher) reachable(ctx context.Context, st *start) error {
	e := w.engine
	if st.from.Epoch != e.Epoch() {
		st.reset = true
		return nil
	}
	if st.from.Revision > e.tail.head() {
		ctx, cancel := context.WithTimeout(ctx, e.within(reachWait))
		defer cancel()
		head, err := e.store.Sync(ctx)
		if err != nil {
			return err
		}
		if head < st.from.Revision {
			st.reset = true
			return nil
		}
		if err := e.tail.wait(ctx, st.from.Revision); err != nil {
			return Errorf(ErrUnavailable, "This node has not applied that revision yet").Because(err)
		}
	}
	from := st.from.Revision
	if st.from.Sub > 0 {
		from--
	}
	if _, ok := e.tail.after(from, 0); ok {
		return nil
	}
	if _, err := e.store.Log(ctx, from, 1); err != nil {
		if !errors.Is(err, ErrCompacted) {
			return err
		}
		st.reset = true
	}
	return nil
}

// follow notes patterns with the hub at the place that it has dispatched to. It returns what was followed before, and
// that place; all that the queue holds by then is put before whatever comes next. ok is false if they are too many.
func (w *Watcher) follow(patterns []Pattern, every bool) (before follows, at Revision, ok bool) {
	h := w.engine.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	before, at = w.follows, h.dispatched
	if w.closed {
		return before, at, true
	}
	after := maps.Clone(before)
	if after == nil {
		after = make(follows, len(patterns))
	}
	for _, p := range patterns {
		after[p.id()] = follow{p, at}
	}
	if len(after) > MaxPatterns {
		return nil, 0, false
	}
	for _, p := range patterns {
		if _, known := before[p.id()]; !known {
			h.follow(w, p)
		}
	}
	queue, behind, from := w.queue, w.behind, w.position
	w.queue, w.queued, w.behind, w.last = nil, 0, false, at
	w.follows, w.every, w.epoch, w.position = after, w.every || every, h.epoch, at
	if behind && len(before) > 0 {
		w.catchUpConflated(before.patterns(), from, at)
	}
	w.laterEmit(queue, before)
	return before, at, true
}
