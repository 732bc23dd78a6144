package etcd

import (
	"context"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dynconfig/dynconfig/core"
)

// Log implements core.Store.
func (s *Store) Log(ctx context.Context, after core.Revision, limit int) ([]core.Commit, error) {
	return settled(func() ([]core.Commit, error) {
		return s.logFrom(ctx, after+1, limit, func(floor core.Revision) error {
			if after < floor {
				return core.Errorf(core.ErrCompacted, "Revision is no longer kept")
			}
			return nil
		})
	})
}

// logFrom returns commits from a revision on. reach, if there is one, judges by the floor whether it may.
func (s *Store) logFrom(ctx context.Context, from core.Revision, limit int, reach func(floor core.Revision) error) ([]core.Commit, error) {
	var (
		out  []core.Commit
		refs []ref
		at   []clientv3.OpOption
		size int
	)
	for chunk, next := newChunk(limit, 8), max(0, from); ; {
		ask := slices.Concat(at, []clientv3.OpOption{clientv3.WithRange(s.keys.logEnd()), clientv3.WithLimit(chunk.next(size))})
		r, err := s.read(ctx, clientv3.OpGet(s.keys.floor(), at...), clientv3.OpGet(s.keys.log(next), ask...))
		if err != nil {
			return nil, err
		}
		if at == nil {
			at = []clientv3.OpOption{clientv3.WithRev(r.Header.Revision)}
			floor, err := floorOf(r, 0)
			if err == nil && reach != nil {
				err = reach(floor)
			}
			if err != nil {
				return nil, err
			}
		}
		found := r.Responses[1].GetResponseRange()
		for _, kv := range found.Kvs {
			next = revisionOf(kv.Key) + 1
			commits, absent, err := decodeBatch(kv.Value)
			if err != nil {
				return nil, err
			}
			for _, c := range commits {
				if c.Revision < from {
					continue
				}
				size += commitSize(c, absent)
				if len(out) > 0 && (len(out) == limit || size > core.PageBytes) {
					return out, s.fill(ctx, refs, at)
				}
				out = append(out, c)
				refs = append(refs, refsOf(c, absent)...)
			}
		}
		if !found.More {
			return out, s.fill(ctx, refs, at)
		}
		chunk.took(len(found.Kvs))
	}
}

// refsOf selects those of a batch's references that belong to a commit.
func refsOf(c core.Commit, refs []ref) []ref {
	from := slices.IndexFunc(refs, func(r ref) bool { return r.revision == c.Revision })
	if from < 0 {
		return nil
	}
	to := from
	for to < len(refs) && refs[to].revision == c.Revision {
		to++
	}
	return refs[from:to]
}

// commitSize is about how many bytes a commit takes in an answer, with what its references name.
func commitSize(c core.Commit, refs []ref) int {
	n := 100 + len(c.Meta.Note)
	for _, ch := range c.Changes {
		n += weight(ch.Entry) + len(ch.Entry.Doc.Value)
	}
	for _, r := range refsOf(c, refs) {
		n += r.size
	}
	return n
}

// History implements core.Store.
func (s *Store) History(ctx context.Context, key core.Key, before core.Revision, limit int) ([]core.Record, error) {
	return settled(func() ([]core.Record, error) { return s.history(ctx, key, before, limit) })
}

func (s *Store) history(ctx context.Context, key core.Key, before core.Revision, limit int) ([]core.Record, error) {
	if before < 0 || before == 1 {
		return nil, s.alive()
	}
	from := max(0, before-1)
	var (
		out  []core.Record
		at   []clientv3.OpOption
		size int
		born core.Revision
	)
	for chunk := newChunk(limit, 8); ; {
		ask := slices.Concat(at, []clientv3.OpOption{clientv3.WithLimit(min(8, chunk.next(size)))})
		r, err := s.read(ctx, clientv3.OpGet(s.keys.entry(key), at...), s.keys.historyRange(key, from, ask...))
		if err != nil {
			return nil, err
		}
		if at == nil {
			at = []clientv3.OpOption{clientv3.WithRev(r.Header.Revision)}
			present := r.Responses[0].GetResponseRange().Kvs
			if len(present) == 0 {
				return nil, nil // purged, or never there
			}
			h, err := decodeEntry(key, present[0].Value)
			if err != nil {
				return nil, err
			}
			born = h.born
		}
		found := r.Responses[1].GetResponseRange()
		for _, kv := range found.Kvs {
			revision := recordRevision(kv.Key)
			if revision < born {
				return out, nil
			}
			from = revision - 1
			record, hidden, err := decodeRecord(key, revision, kv.Value)
			if err != nil {
				return nil, err
			}
			if hidden {
				continue
			}
			size += weight(record.Change.Entry) + len(record.Change.Entry.Doc.Value)
			if len(out) > 0 && (len(out) == limit || size > core.PageBytes) {
				return out, nil
			}
			out = append(out, record)
		}
		if !found.More || from == 0 {
			return out, nil
		}
		chunk.took(len(found.Kvs))
	}
}
