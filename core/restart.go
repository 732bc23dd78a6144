package core

import (
	"context"
	"slices"
)

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
	if _, err := w.engine.stale(); err != nil {
		return err
	}
	h := w.engine.hub
	h.mu.Lock()
	w.mu.Lock()
	at, from := h.dispatched, w.position
	queue, behind := w.queue, w.behind
	w.queue, w.queued, w.behind = nil, 0, false
	w.epoch, w.position, w.last = h.epoch, at, at
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
	w.ruled = nil
	if everything { // and whatever catch-up there was is part of it
		w.hidden = nil
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
