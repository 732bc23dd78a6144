package nats

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/dynconfig/dynconfig/core"
)

// Compact implements core.Store. The stream gives up messages from its beginning only: what is still needed of those is
// written once more, at its end, before a record says that they are given up; the server deletes them after that.
func (s *Store) Compact(ctx context.Context, upTo core.Revision, keep int) error {
	head, err := s.Sync(ctx)
	if err != nil {
		return err
	}
	upTo, keep = min(upTo, head), max(0, keep)
	for {
		var floor core.Revision
		if err := s.use(ctx, func(v *view) { floor = v.floor }); err != nil {
			return err
		}
		if upTo < max(1, floor) {
			return nil
		}
		done, err := s.clean(ctx, upTo, keep)
		if done || err != nil {
			return err
		}
	}
}

// clean does what Compact does. It is not done if something had to be moved first, or another node wrote meanwhile. What
// is needed below a place in the stream only grows less with time, so it need not be looked at again.
func (s *Store) clean(ctx context.Context, upTo core.Revision, keep int) (bool, error) {
	from, old, err := s.needed(ctx, upTo, keep)
	if err != nil {
		return false, err
	}
	if len(old) > 0 {
		return false, s.move(ctx, old)
	}
	done, err := s.note(ctx, record{Clean: &clean{UpTo: upTo, Keep: keep, From: from}})
	if !done || err != nil || from <= 1 {
		return done, err
	}
	err = s.request(ctx, func(ctx context.Context) error { return s.current().Purge(ctx, jetstream.WithPurgeSequence(from)) })
	if err != nil {
		return false, fault(err)
	}
	return true, nil
}

// note appends a record that is right wherever in the log it comes.
func (s *Store) note(ctx context.Context, r record) (bool, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	var p place
	if err := s.await(ctx, func(v *view) bool { p = v.place(); return true }); err != nil {
		return false, err
	}
	return s.append(ctx, p, r)
}

// boundary returns from where on the messages of the stream are needed for the log above a revision, for the IDs that are
// remembered, and for a start from the newest snapshot.
func (v *view) boundary(upTo core.Revision) uint64 {
	if v.snap.Blob == "" {
		return v.from
	}
	from := v.snap.SelfSeq
	if i := v.batchFrom(upTo + 1); i < len(v.batches) {
		from = min(from, v.need(v.batches[i].seq))
	}
	if len(v.recent) > 0 {
		if b, ok := v.batchOf(v.recent[0].first); ok {
			from = min(from, v.need(b.seq))
		}
	}
	return max(from, v.from)
}

// needed returns from where on the messages of the stream are needed once the log is compacted, and what is needed of those
// before: the values of entries, and what History keeps.
func (s *Store) needed(ctx context.Context, upTo core.Revision, keep int) (from uint64, old []want, err error) {
	if err := s.await(ctx, func(*view) bool { return true }); err != nil {
		return 0, nil, err
	}
	s.mu.Lock()
	v := s.view
	v.forgetOld(s.options.Now().Add(-core.KeepIDs))
	from = v.boundary(upTo)
	low, items := maps.Clone(v.low), v.items.Clone()
	s.mu.Unlock()
	keepIt := func(it *item, r ref) {
		start := r.seq
		if l, ok := low[r.seq]; ok {
			start = l
		}
		if start < from {
			old = append(old, want{seq: r.seq, key: it.entry.Key, revision: r.revision})
		}
	}
	items.Ascend(func(it *item) bool {
		it = it.trimmed(upTo, keep)
		for _, r := range it.past {
			keepIt(it, r)
		}
		if n := len(it.past); it.size > 0 && (n == 0 || it.past[n-1].revision != it.entry.Revision) {
			keepIt(it, ref{it.entry.Revision, it.seq})
		}
		return true
	})
	slices.SortFunc(old, bySeq)
	return from, old, nil
}

// move writes changes once more, at the end of the stream.
func (s *Store) move(ctx context.Context, old []want) error {
	var r record
	size := 0
	for len(old) > 0 {
		n := 1
		for n < len(old) && old[n].seq == old[0].seq {
			n++
		}
		body, err := s.body(ctx, old[0].seq)
		if err != nil {
			if errors.Is(err, errGone) {
				return s.await(ctx, func(*view) bool { return true }) // another node was faster: look again
			}
			return err
		}
		for _, w := range old[:n] {
			found, ok := body.find(w.key, w.revision)
			if !ok {
				return unreadable(errMissing)
			}
			r.Moved = append(r.Moved, moved{Revision: w.revision, Meta: packMeta(found.Meta), Change: packChange(found.Change)})
			if size += changeWeight(found.Change); size >= s.options.partBytes {
				if err := s.insist(ctx, r); err != nil {
					return err
				}
				r, size = record{}, 0
			}
		}
		old = old[n:]
	}
	if len(r.Moved) == 0 {
		return nil
	}
	return s.insist(ctx, r)
}

// insist notes a record, however often other nodes are faster.
func (s *Store) insist(ctx context.Context, r record) error {
	for range maxTries {
		if done, err := s.note(ctx, r); done || err != nil {
			return err
		}
	}
	return errBusy
}
