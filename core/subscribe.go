package core

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
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
	w.engine.hub.govern(w.engine.options.Authorizer.Generation())
	if len(w.follows) == 0 { // there is nothing to forget; what is decided from here on counts
		w.anew.Store(false)
	}
	if err := w.mayWatch(ctx, st.patterns); err != nil {
		return err
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

// mayWatch asks for the right to watch, without which a stream ends.
func (w *Watcher) mayWatch(ctx context.Context, patterns []Pattern) error {
	for _, p := range patterns {
		d, err := w.ask(ctx, Access{
			Action: ActionWatch, Kind: KindKey, Key: p.Text, Exists: true, Operation: "watch",
			Chain: w.engine.index.chainOf(w.env, KindKey, p.Text),
		})
		if err != nil {
			return err
		}
		if !d.Allow {
			return denied(d)
		}
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
		ctx, cancel := context.WithTimeout(ctx, reachWait)
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
	if _, ok := e.tail.after(from); ok || from == e.tail.head() {
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
	w.follows, w.every, w.position = after, w.every || every, at
	if behind && len(before) > 0 {
		w.catchUpConflated(before.patterns(), from, at)
	}
	w.laterEmit(queue, before)
	return before, at, true
}

// laterEmit puts commits that were queued before what else is to be done, as far as f follows them.
func (w *Watcher) laterEmit(queue []*published, f follows) {
	for _, p := range queue {
		w.later(func(ctx context.Context) (bool, error) {
			f.ruledBy(w.env, p, &w.ruled)
			return true, w.emit(ctx, p, 0, func(name string) bool { return f.want(name, p.revision) })
		})
	}
}

// resume goes on from where a client was: with a reset of the patterns whose namespaces were ruled anew since, and with
// what followed of the others.
func (w *Watcher) resume(st start, before follows, at Revision) {
	ruled, rest := w.ruledSince(st.patterns, st.from.Revision)
	if len(rest) > 0 {
		st.patterns = rest
		w.replay(st, before, at)
	}
	if len(ruled) > 0 {
		w.startOver(ruled, at)
		return
	}
	w.synced(at)
}

// ruledSince parts patterns into those whose namespaces were ruled anew since a revision, and the others.
func (w *Watcher) ruledSince(patterns []Pattern, since Revision) (ruled, rest []Pattern) {
	if !w.engine.index.ruledSince(w.env, patterns, since) {
		return nil, patterns
	}
	for _, p := range patterns {
		if w.engine.index.ruledSince(w.env, []Pattern{p}, since) {
			ruled = append(ruled, p)
		} else {
			rest = append(rest, p)
		}
	}
	return ruled, rest
}

// startOver makes the client forget what it holds for patterns and gives it the present instead.
func (w *Watcher) startOver(patterns []Pattern, at Revision) {
	w.engine.stats.resets.Add(1)
	texts := make([]string, len(patterns))
	for i, p := range patterns {
		texts[i] = p.Text
	}
	w.later(func(context.Context) (bool, error) {
		w.out = append(w.out, Event{Kind: EventReset, Patterns: texts, Position: w.at(at)})
		return true, nil
	})
	w.snapshot(patterns, at)
	w.synced(at)
}

// restart starts over, at the place that the hub has dispatched to, with everything that is followed or only with what was
// ruled anew; what the log brought for the rest comes before it. The stream ends if its subject may watch that no longer.
func (w *Watcher) restart(ctx context.Context, everything bool) error {
	h := w.engine.hub
	h.mu.Lock()
	w.mu.Lock()
	at, from := h.dispatched, w.position
	queue, behind := w.queue, w.behind
	w.queue, w.queued, w.behind = nil, 0, false
	w.position, w.last = at, at
	for _, p := range queue {
		w.follows.ruledBy(w.env, p, &w.ruled)
	}
	again, rest, followed := follows{}, follows{}, make(follows, len(w.follows))
	for id, f := range w.follows {
		if everything || w.ruled[id] {
			f.since = at // in a new epoch, it may be lower than before
			again[id] = f
		} else {
			rest[id] = f
		}
		followed[id] = f
	}
	w.follows = followed
	w.mu.Unlock()
	h.mu.Unlock()
	w.ruled, w.hidden = nil, nil
	if everything { // and whatever catch-up there was is part of it
		w.work = slices.DeleteFunc(w.work, func(s step) bool { return !s.answer })
	}
	if err := w.mayWatch(ctx, again.patterns()); err != nil {
		return err
	}
	switch {
	case len(rest) == 0:
	case behind:
		w.catchUpConflated(rest.patterns(), from, at)
	default:
		w.laterEmit(queue, rest)
	}
	if len(again) > 0 {
		w.startOver(again.patterns(), at)
	}
	return nil
}

func (f follows) patterns() []Pattern {
	patterns := make([]Pattern, 0, len(f))
	for _, one := range f {
		patterns = append(patterns, one.Pattern)
	}
	return patterns
}

// synced ends a catch-up.
func (w *Watcher) synced(at Revision) {
	w.later(func(context.Context) (bool, error) {
		w.out = append(w.out, Event{Kind: EventBookmark, Synced: true, Position: w.at(at)})
		return true, nil
	})
}
