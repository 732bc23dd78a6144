package etcd

import (
	"context"
	"math"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dynconfig/dynconfig/core"
)

// Compact implements core.Store. The floor is raised first; then the histories of the keys that the dropped part of the
// log names are trimmed, and last that part itself is deleted: whatever is interrupted, the next Compact finds its work.
// Log records whose IDs are still remembered stay below the floor until they are not.
func (s *Store) Compact(ctx context.Context, upTo core.Revision, keep int) error {
	upTo, err := s.raiseFloor(ctx, upTo)
	if err != nil || upTo == 0 {
		return err
	}
	oldest, err := s.sweepIDs(ctx)
	if err != nil {
		return err
	}
	t := trim{store: s, upTo: upTo, cut: min(upTo, oldest-1), keep: max(0, keep), done: map[core.Key]bool{}}
	for from := core.Revision(0); ; {
		r, err := s.read(ctx, clientv3.OpGet(s.keys.log(from), clientv3.WithRange(s.keys.log(upTo+1)), clientv3.WithLimit(16)))
		if err != nil {
			return err
		}
		found := r.Responses[0].GetResponseRange()
		for _, kv := range found.Kvs {
			from = revisionOf(kv.Key) + 1
			if err := t.batch(ctx, kv.Value); err != nil {
				return err
			}
		}
		if err := t.flush(ctx); err != nil {
			return err
		}
		if drop := min(from-1, t.cut); drop > 0 {
			if _, err := s.do(ctx, clientv3.OpDelete(s.keys.log(0), clientv3.WithRange(s.keys.log(drop+1)))); err != nil {
				return err
			}
		}
		if !found.More {
			return nil
		}
	}
}

// raiseFloor makes upTo the floor unless it is higher already, and returns the floor up to which there is work: 0 if
// upTo lies below it.
func (s *Store) raiseFloor(ctx context.Context, upTo core.Revision) (core.Revision, error) {
	for {
		r, err := s.read(ctx, clientv3.OpGet(s.keys.head()), clientv3.OpGet(s.keys.floor()))
		if err != nil {
			return 0, err
		}
		head, _, err := headOf(r, 0)
		if err != nil {
			return 0, err
		}
		floor, err := floorOf(r, 1)
		upTo = min(upTo, head)
		if err != nil || upTo <= 0 || upTo < floor {
			return 0, err
		}
		mod := int64(0)
		if kvs := r.Responses[1].GetResponseRange().Kvs; len(kvs) > 0 {
			mod = kvs[0].ModRevision
		}
		unchanged := clientv3.Compare(clientv3.ModRevision(s.keys.floor()), "=", mod)
		r, err = s.txn(ctx, []clientv3.Cmp{unchanged}, []clientv3.Op{put(s.keys.floor(), encodeFloor(upTo))}, nil)
		if err != nil || r.Succeeded {
			return upTo, err
		}
	}
}

// idSlack is how far the clocks of nodes may differ before an ID is forgotten too early.
const idSlack = time.Minute

// sweepIDs deletes the IDs that need not be remembered any longer, and returns the first revision that is.
func (s *Store) sweepIDs(ctx context.Context) (oldest core.Revision, err error) {
	before := s.writer.now().Add(-core.KeepIDs - idSlack)
	for from := core.Revision(0); ; {
		r, err := s.read(ctx, clientv3.OpGet(s.keys.ids(from), clientv3.WithRange(s.keys.idsEnd()), clientv3.WithLimit(idPage)))
		if err != nil {
			return 0, err
		}
		found := r.Responses[0].GetResponseRange()
		young := from
		for _, kv := range found.Kvs {
			at, ids, err := decodeIDs(kv.Value)
			if err != nil {
				return 0, err
			}
			young = revisionOf(kv.Key)
			if !at.Before(before) && len(ids) > 0 {
				return ids[0].revision, s.dropIDs(ctx, young)
			}
		}
		if !found.More {
			return math.MaxInt64, s.dropIDs(ctx, young+1)
		}
		from = young + 1
	}
}

func (s *Store) dropIDs(ctx context.Context, before core.Revision) error {
	_, err := s.do(ctx, clientv3.OpDelete(s.keys.ids(0), clientv3.WithRange(s.keys.ids(before))))
	return err
}

// trim drops history records up to upTo but for the last keep of each key. Records above cut, and the newest of a key,
// may still be referred to: if they are large they are hidden from History instead, and deleted by a later Compact.
type trim struct {
	store *Store
	upTo  core.Revision
	cut   core.Revision
	keep  int
	done  map[core.Key]bool
	ops   []clientv3.Op
	bytes int
}

// batch trims the history of every key in a log record.
func (t *trim) batch(ctx context.Context, record []byte) error {
	commits, refs, err := decodeBatch(record)
	if err != nil {
		return err
	}
	var keys []core.Key
	take := func(k core.Key) {
		if k != "" && !t.done[k] {
			t.done[k] = true
			keys = append(keys, k)
		}
	}
	for _, c := range commits {
		for _, ch := range c.Changes {
			take(ch.Entry.Key)
		}
	}
	for _, r := range refs {
		take(r.key)
	}
	for some := range slices.Chunk(keys, t.store.limits.MaxOps) {
		if err := t.keys(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// keys trims histories. That of a key that was purged goes whole.
func (t *trim) keys(ctx context.Context, keys []core.Key) error {
	var ops []clientv3.Op
	for _, k := range keys {
		ops = append(ops, clientv3.OpGet(t.store.keys.entry(k)), t.store.keys.historyRange(k, 0, clientv3.WithKeysOnly()))
	}
	r, err := t.store.read(ctx, ops...)
	if err != nil {
		return err
	}
	for i, k := range keys {
		var h held
		if kvs := r.Responses[2*i].GetResponseRange().Kvs; len(kvs) > 0 {
			if h, err = decodeEntry(k, kvs[0].Value); err != nil {
				return err
			}
		}
		if err := t.history(ctx, k, h, r.Responses[2*i+1].GetResponseRange().Kvs); err != nil {
			return err
		}
	}
	return nil
}

// history trims the records of a key, newest first; h is its entry.
func (t *trim) history(ctx context.Context, k core.Key, h held, records []*mvccpb.KeyValue) error {
	for i, kv := range records {
		revision := recordRevision(kv.Key)
		lives := h.Version > 0 && revision >= h.born
		switch {
		case revision > t.upTo || lives && i < t.keep:
		case revision <= t.cut && revision != h.Revision: // and so are all that follow
			return t.add(ctx, clientv3.OpDelete(string(kv.Key), clientv3.WithRange(t.store.keys.history(k, 0))), 0)
		default:
			if err := t.hide(ctx, kv); err != nil {
				return err
			}
		}
	}
	return nil
}

// hide keeps a record for those who may refer to it, and drops one that is small.
func (t *trim) hide(ctx context.Context, kv *mvccpb.KeyValue) error {
	r, err := t.store.read(ctx, clientv3.OpGet(string(kv.Key)))
	if err != nil {
		return err
	}
	for _, kv := range r.Responses[0].GetResponseRange().Kvs {
		switch {
		case len(kv.Value) <= inlineMax && kv.Value[0] == format:
			err = t.add(ctx, clientv3.OpDelete(string(kv.Key)), 0)
		case kv.Value[0] != formatHidden:
			hidden := append([]byte{formatHidden}, kv.Value[1:]...)
			err = t.add(ctx, put(string(kv.Key), hidden), len(hidden))
		}
	}
	return err
}

// add puts off an operation until there are enough for a transaction.
func (t *trim) add(ctx context.Context, op clientv3.Op, bytes int) error {
	if len(t.ops) >= t.store.limits.MaxOps || t.bytes+bytes > core.MinBytes {
		if err := t.flush(ctx); err != nil {
			return err
		}
	}
	t.ops, t.bytes = append(t.ops, op), t.bytes+bytes
	return nil
}

func (t *trim) flush(ctx context.Context) error {
	if len(t.ops) == 0 {
		return nil
	}
	_, err := t.store.do(ctx, t.ops...)
	t.ops, t.bytes = nil, 0
	return err
}
