package etcd

import (
	"context"
	"errors"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dynconfig/dynconfig/core"
)

// idPage is how many batches' IDs one request reads.
const idPage = 1000

// loadMax is how many entries fit one loading transaction, beside head, IDs and epoch.
func (w *writer) loadMax() int { return 2*w.store.limits.MaxOps - 2 }

// loadOps reads the head, the IDs that are not known yet, the epoch, and the entries of keys.
func (w *writer) loadOps(keys []core.Key, opts ...clientv3.OpOption) []clientv3.Op {
	l := w.store.keys
	ops := make([]clientv3.Op, 0, len(keys)+3)
	ops = append(ops, clientv3.OpGet(l.head(), opts...), clientv3.OpGet(l.ids(w.ids.upTo+1),
		slices.Concat(opts, []clientv3.OpOption{clientv3.WithRange(l.idsEnd()), clientv3.WithLimit(idPage)})...),
		clientv3.OpGet(l.epoch(), opts...))
	for _, k := range keys {
		ops = append(ops, clientv3.OpGet(l.entry(k), opts...))
	}
	return ops
}

// load reads the entries of keys, all at one state, and what else is new.
func (w *writer) load(ctx context.Context, keys []core.Key, into map[core.Key]held) error {
	var at []clientv3.OpOption
	for {
		some := keys[:min(len(keys), w.loadMax())]
		r, err := w.store.read(ctx, w.loadOps(some, at...)...)
		if err != nil {
			return err
		}
		if err := w.absorb(ctx, r, some, into); err != nil {
			return err
		}
		if keys = keys[len(some):]; len(keys) == 0 {
			return nil
		}
		if at == nil {
			at = []clientv3.OpOption{clientv3.WithRev(r.Header.Revision)}
		}
	}
}

// absorb takes in the answer to loadOps. Where the head is not the known one, the entries known so far are forgotten.
func (w *writer) absorb(ctx context.Context, r *clientv3.TxnResponse, keys []core.Key, into map[core.Key]held) error {
	head, clock, err := headOf(r, 0)
	if err != nil {
		return err
	}
	at, epoch := placeOf(r, 0), epochOf(r, 2)
	if !w.known || at != w.place {
		w.entries = newTable()
	}
	if w.rewritten(at, head) {
		if epoch == w.epoch {
			_, err = w.store.newEpoch(ctx, epoch)
		}
		w.known, w.sighting, w.ids = false, sighting{}, newIDs() // the IDs are none of this history
		return errors.Join(err, w.load(ctx, keys, into))
	}
	if err := w.absorbIDs(ctx, r, head); err != nil {
		return err
	}
	found, err := w.decode(ctx, r, keys)
	if err != nil {
		return err
	}
	for _, h := range found {
		w.entries.put(h)
		if into != nil {
			into[h.Key] = h
		}
	}
	w.known, w.sighting, w.clock = true, sighting{at, head, epoch}, clock
	return nil
}

// decode reads the entries in an answer, with their ACLs; a key without an entry has version 0.
func (w *writer) decode(ctx context.Context, r *clientv3.TxnResponse, keys []core.Key) (found []held, err error) {
	found = make([]held, len(keys))
	var refs []ref
	for i, k := range keys {
		found[i].Key = k
		if kvs := r.Responses[i+3].GetResponseRange().Kvs; len(kvs) > 0 {
			if found[i], err = decodeEntry(k, kvs[0].Value); err != nil {
				return nil, err
			}
			found[i].large.value = 0
			refs = append(refs, found[i].refs(func() *core.Entry { return &found[i].Entry })...)
		}
	}
	return found, w.store.fill(ctx, refs, []clientv3.OpOption{clientv3.WithRev(r.Header.Revision)})
}

// absorbIDs remembers the IDs of the batches up to head, those of the first page and of those that follow.
func (w *writer) absorbIDs(ctx context.Context, r *clientv3.TxnResponse, head core.Revision) error {
	at := clientv3.WithRev(r.Header.Revision)
	for {
		page := r.Responses[1].GetResponseRange()
		if err := w.remember(page.Kvs); err != nil {
			return err
		}
		if !page.More {
			break
		}
		var err error
		if r, err = w.store.read(ctx, w.loadOps(nil, at)...); err != nil {
			return err
		}
	}
	w.ids.upTo = max(w.ids.upTo, head)
	return nil
}

// remember takes in records that may be of other nodes, whose clocks may be behind.
func (w *writer) remember(kvs []*mvccpb.KeyValue) error {
	for _, kv := range kvs {
		at, batch, err := decodeIDs(kv.Value)
		if err != nil {
			return err
		}
		w.ids.add(at.Add(idSlack), batch, revisionOf(kv.Key))
	}
	return nil
}
