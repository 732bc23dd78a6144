package core

import (
	"cmp"
	"context"
	"slices"
)

// conflate gives a watcher that fell behind the last change of each key, from the index, instead of every one.
func (w *Watcher) conflate() {
	h := w.engine.hub
	h.mu.Lock()
	w.mu.Lock()
	from, at := w.position, h.dispatched
	w.behind, w.queue, w.queued = false, nil, 0
	w.position, w.last = at, at
	followed := w.follows
	w.mu.Unlock()
	h.mu.Unlock()
	w.catchUpConflated(followed.patterns(), from, at)
}

// catchUpConflated puts out, in the order of commits, the keys that changed in (from, at].
func (w *Watcher) catchUpConflated(patterns []Pattern, from, at Revision) {
	var items []*item
	scanned := false
	w.later(func(ctx context.Context) (bool, error) {
		if w.isEvery() {
			return true, ErrSlow
		}
		if !scanned {
			ruled, rest := w.ruledSince(patterns, from)
			w.rule(ruled)
			items, scanned = w.changed(rest, from, at), true
		}
		n := min(len(items), catchUpBatch)
		for n < len(items) && n > 0 && items[n].revision == items[n-1].revision {
			n++ // a commit stays together
		}
		batch := items[:n]
		items = items[n:]
		return len(items) == 0, w.lastChanges(ctx, batch, from)
	})
}

// rule notes patterns that begin anew.
func (w *Watcher) rule(patterns []Pattern) {
	for _, p := range patterns {
		if w.ruled == nil {
			w.ruled = patternSet{}
		}
		w.ruled[p.id()] = true
	}
}

func (w *Watcher) isEvery() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.every
}

// changed returns the items that patterns select and whose last change lies in (from, at], in the order of commits.
func (w *Watcher) changed(patterns []Pattern, from, at Revision) []*item {
	var items []*item
	for _, s := range spansOf(w.env, patterns) {
		for {
			page := w.engine.index.page(s.from, s.to, 4096)
			if len(page) == 0 {
				break
			}
			s.from = page[len(page)-1].key + "\x00"
			for _, it := range page {
				if it.revision > from && it.revision <= at {
					items = append(items, it)
				}
			}
		}
	}
	slices.SortFunc(items, byCommit)
	return items
}

// lastChanges puts out whole commits' worth of items, each as what it is now. One that may no longer be read is revoked if
// it could be before.
func (w *Watcher) lastChanges(ctx context.Context, items []*item, from Revision) error {
	first := len(w.out)
	var held []*item
	for _, it := range items {
		revoked, err := w.revokedSince(ctx, it, from)
		if err != nil {
			return err
		}
		if revoked {
			w.out = append(w.out, Event{Kind: EventRevoked, Key: it.name(), Position: w.at(it.revision), Conflated: true})
		} else {
			held = append(held, it)
		}
	}
	if err := w.present(ctx, held, func(ev *Event) { ev.Conflated = true }); err != nil {
		return err
	}
	slices.SortStableFunc(w.out[first:], func(a, b Event) int {
		return cmp.Or(cmp.Compare(a.Position.Revision, b.Position.Revision), cmp.Compare(a.Key, b.Key))
	})
	w.engine.stats.conflated.Add(uint64(len(w.out) - first))
	return w.together(ctx, w.out[first:])
}

func (w *Watcher) revokedSince(ctx context.Context, it *item, from Revision) (bool, error) {
	if _, hidden := w.hidden[it.name()]; hidden || it.deleted || it.rules <= from {
		return false, nil
	}
	now, err := w.mayReadItem(ctx, it)
	if err != nil || now {
		return false, err
	}
	e, err := w.entryAt(ctx, it.key, from)
	if err != nil || e == nil || e.Deleted {
		return false, err
	}
	name := it.name()
	return w.mayRead(ctx, name, Intern(e.Doc.ACL), w.engine.index.chainOf(w.env, KindKey, name), true)
}

// together marks the events of one commit as such: all but its last say that more follows, and after which of its changes
// they stand.
func (w *Watcher) together(ctx context.Context, events []Event) error {
	for i := 0; i+1 < len(events); i++ {
		rev := events[i].Position.Revision
		if events[i+1].Position.Revision != rev {
			continue
		}
		events[i].More = true
		events[i].Position = w.at(rev - 1) // where a resume gets the commit whole
		commits, err := w.logAfter(ctx, rev-1)
		if err != nil && KindOf(err) != ErrCompacted { //nolint:errorlint // KindOf returns the sentinel itself
			return err
		}
		if len(commits) == 0 {
			continue
		}
		for j := range commits[0].changes {
			if c := &commits[0].changes[j]; c.env == w.env && c.name == events[i].Key {
				events[i].Position = Position{Epoch: w.epoch, Revision: rev, Sub: c.sub}
			}
		}
	}
	return nil
}
