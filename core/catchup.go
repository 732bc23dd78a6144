package core

import (
	"cmp"
	"context"
	"errors"
	"slices"
)

// catchUpBatch is about how many events a catch-up prepares at once. Ten thousand streams that begin anew, with readers that
// are slow, hold as many each.
const catchUpBatch = 64

// replay puts out what followed a position, up to a revision, for patterns. What their keys' watcher was given already,
// because it followed them before, is left out.
func (w *Watcher) replay(st start, before follows, at Revision) {
	w.engine.stats.replays.Add(1)
	pos, sub := st.from.Revision, st.from.Sub
	if sub > 0 {
		pos--
	}
	followed := follows{}
	for _, p := range st.patterns {
		followed[p.id()] = follow{p, 0}
	}
	w.later(func(ctx context.Context) (bool, error) {
		commits, err := w.logAfter(ctx, pos)
		if errors.Is(err, ErrCompacted) {
			w.rule(st.patterns) // overtaken by compaction
			return true, nil
		}
		if err != nil {
			return false, err
		}
		for _, p := range commits {
			if p.revision > at {
				return true, nil
			}
			err := w.emit(ctx, p, sub, func(name string) bool {
				return followed.want(name, p.revision) && !before.want(name, p.revision)
			})
			if err != nil {
				return false, err
			}
			pos, sub = p.revision, 0
			if len(w.out) >= catchUpBatch {
				break
			}
		}
		return pos >= at, nil
	})
}

// logAfter returns commits that follow a revision, from the ring or from the store.
func (w *Watcher) logAfter(ctx context.Context, after Revision) ([]*published, error) {
	if commits, ok := w.engine.tail.after(after, catchUpBatch); ok {
		return commits, nil
	}
	release, err := w.engine.reader(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	log, err := w.engine.store.Log(ctx, after, catchUpBatch)
	commits := make([]*published, len(log))
	for i, c := range log {
		commits[i] = publish(w.engine.index, c)
	}
	return commits, err
}

// snapshot puts out the state of the keys that patterns select, exactly as it was at a revision.
func (w *Watcher) snapshot(patterns []Pattern, at Revision) {
	spans := spansOf(w.env, patterns)
	w.later(func(ctx context.Context) (bool, error) {
		if len(spans) == 0 {
			return true, nil
		}
		items := w.engine.index.page(spans[0].from, spans[0].to, catchUpBatch)
		if len(items) == 0 {
			spans = spans[1:]
			return false, nil
		}
		spans[0].from = items[len(items)-1].key + "\x00"
		entries, err := w.stateAt(ctx, items, at)
		for _, e := range entries {
			_, _, name, _ := e.Key.Split()
			delete(w.hidden, name)
			w.out = append(w.out, Event{
				Kind: EventUpdate, Key: name, Version: e.Version, Value: e.Doc.Value, Modified: e.Modified,
				Position: w.at(e.Revision), Snapshot: true,
			})
		}
		return false, err
	})
}

// stateAt returns the live entries of items as they were at a revision, those that the watcher may read, then and now.
func (w *Watcher) stateAt(ctx context.Context, items []*item, at Revision) ([]*Entry, error) {
	// Judging is a part of what only some do at once: after another policy it is the larger one.
	release, err := w.engine.reader(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	now := w.engine.now()
	var present []*item
	var past []Key
	for _, it := range items {
		if it.revision <= at && !it.live(now) {
			continue
		}
		ok, err := w.mayReadItem(ctx, it)
		if err != nil {
			return nil, err
		}
		switch {
		case !ok:
		case it.revision <= at:
			present = append(present, it)
		default:
			past = append(past, it.key)
		}
	}
	fetched, err := w.engine.values.fetch(ctx, present)
	if err != nil {
		return nil, err
	}
	var entries []*Entry
	for i, e := range fetched {
		if e != nil && e.Revision == present[i].revision {
			entries = append(entries, e)
		} else {
			past = append(past, present[i].key)
		}
	}
	for _, key := range past {
		e, err := w.entryAt(ctx, key, at)
		if err != nil {
			return nil, err
		}
		if e == nil || e.Deleted || newItem(*e).over(now) {
			continue
		}
		_, _, name, _ := key.Split()
		ok, err := w.mayRead(ctx, name, Intern(e.Doc.ACL), w.engine.index.chainOf(w.env, KindKey, name), true)
		if err != nil {
			return nil, err
		}
		if ok {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

func (w *Watcher) mayReadItem(ctx context.Context, it *item) (bool, error) {
	name := it.name()
	return w.mayRead(ctx, name, it.acl, w.engine.index.chainOf(w.env, KindKey, name), !it.deleted)
}

// entryAt returns a key's entry as it was at a revision, nil if there was none or it is no longer known.
func (w *Watcher) entryAt(ctx context.Context, key Key, at Revision) (*Entry, error) {
	records, err := w.engine.store.History(ctx, key, at+1, 1)
	if err != nil || len(records) == 0 || records[0].Change.Do == OpPurge {
		return nil, err
	}
	return &records[0].Change.Entry, nil
}

// sinceVersion puts out the exact keys whose version is greater than what the client has, in the order of their commits.
// A key that changed after at comes with what follows.
func (w *Watcher) sinceVersion(patterns []Pattern, version int64, at Revision) {
	w.later(func(ctx context.Context) (bool, error) {
		var items []*item
		for _, p := range patterns {
			covered := slices.ContainsFunc(patterns, func(q Pattern) bool { return q.Below != "" && q.Match(p.Exact) })
			if p.Exact == "" || covered {
				continue
			}
			if it := w.engine.index.get(w.env, KindKey, p.Exact); it != nil && it.version > version && it.revision <= at {
				items = append(items, it)
			}
		}
		slices.SortFunc(items, byCommit)
		return true, w.present(ctx, items, func(ev *Event) {})
	})
}

func byCommit(a, b *item) int {
	return cmp.Or(cmp.Compare(a.revision, b.revision), cmp.Compare(a.key, b.key))
}

// present puts out the present state of items: update, delete or expired. A value that the store no longer has is passed
// over, because a newer one follows.
func (w *Watcher) present(ctx context.Context, items []*item, mark func(*Event)) error {
	release, err := w.engine.reader(ctx)
	if err != nil {
		return err
	}
	defer release()
	now := w.engine.now()
	var shown []*item
	for _, it := range items {
		ok, err := w.mayReadItem(ctx, it)
		if err != nil {
			return err
		}
		if ok && (it.deleted || it.live(now)) {
			shown = append(shown, it)
		}
	}
	var live []*item
	for _, it := range shown {
		if !it.deleted {
			live = append(live, it)
		}
	}
	entries, err := w.engine.values.fetch(ctx, live)
	if err != nil {
		return err
	}
	for _, it := range shown {
		ev := Event{Kind: EventDelete, Key: it.name(), Version: it.version, Position: w.at(it.revision)}
		if it.expired {
			ev.Kind = EventExpired
		}
		if !it.deleted {
			e := entries[0]
			entries = entries[1:]
			if e == nil || e.Revision != it.revision {
				continue
			}
			ev.Kind, ev.Value, ev.Modified = EventUpdate, e.Doc.Value, e.Modified
		}
		mark(&ev)
		delete(w.hidden, ev.Key)
		w.out = append(w.out, ev)
	}
	return nil
}

// span is a half-open range of keys; an empty to is the end.
type span struct{ from, to Key }

// spansOf returns the ranges of keys that patterns select, in order and without overlap.
func spansOf(env EnvID, patterns []Pattern) []span {
	all := MakeKey(env, KindKey, "")
	spans := make([]span, 0, len(patterns))
	for _, p := range patterns {
		from, to := p.span()
		s := span{all + Key(from), all + Key(to)}
		if to == "" {
			s.to = Key(prefixEnd(string(all)))
		}
		spans = append(spans, s)
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	merged := spans[:0]
	for _, s := range spans {
		if n := len(merged); n > 0 && s.from <= merged[n-1].to {
			merged[n-1].to = max(merged[n-1].to, s.to)
			continue
		}
		merged = append(merged, s)
	}
	return merged
}
