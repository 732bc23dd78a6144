package etcd

import (
	"context"
	"errors"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dynconfig/dynconfig/core"
)

// writer commits batches. It keeps what it knows of the store as of the newest head that it saw: writing compares that
// head, so that what it knows is proven at the very moment in which it matters. One batch runs at a time.
type writer struct {
	store *Store
	now   func() time.Time

	known bool // what follows holds
	sighting
	clock   time.Time
	entries *table
	ids     *ids
}

// placeOf reads from an answer where the head is.
func placeOf(r *clientv3.TxnResponse, i int) place {
	kvs := r.Responses[i].GetResponseRange().Kvs
	if len(kvs) == 0 {
		return place{}
	}
	return place{kvs[0].ModRevision, string(kvs[0].Value)}
}

// place tells a head record from all others. The content belongs to it, since in an etcd that was set back to an older
// state its revisions come again. There is none before the first commit.
type place struct {
	mod     int64 // etcd's revision
	content string
}

func newWriter(s *Store, now func() time.Time) *writer {
	return &writer{store: s, now: now, entries: newTable(), ids: newIDs()}
}

// maxTries bounds how often a batch is evaluated anew because other nodes were faster.
const maxTries = 100

// batch commits transactions in order, each with its own answer. One that is too large for etcd in company is tried in
// halves.
func (w *writer) batch(ctx context.Context, txns []core.Txn) []core.Answer {
	answers, err := w.decide(ctx, txns)
	if err == nil {
		return answers
	}
	w.known = false
	if errors.Is(err, core.ErrTooLarge) && len(txns) > 1 {
		half := len(txns) / 2
		return append(w.batch(ctx, txns[:half]), w.batch(ctx, txns[half:])...)
	}
	answers = make([]core.Answer, len(txns))
	for i := range answers {
		answers[i].Err = err
	}
	return answers
}

// decide tries until the head stays as it was from evaluation to writing.
func (w *writer) decide(ctx context.Context, txns []core.Txn) ([]core.Answer, error) {
	for range maxTries {
		answers, ok, err := w.attempt(ctx, txns)
		if errors.Is(err, errMoved) {
			w.known = false
			continue
		}
		if ok || err != nil {
			return answers, err
		}
	}
	return nil, errBusy()
}

// attempt evaluates the batch over what is known, reads what is missing, and writes. It is not ok if the head was another
// by then.
func (w *writer) attempt(ctx context.Context, txns []core.Txn) (answers []core.Answer, ok bool, err error) {
	loaded := w.store.loaded.Load().epoch
	w.known = w.known && w.epoch == loaded
	touched := core.Touched(txns...)
	entries, fresh, err := w.gather(ctx, touched)
	if err != nil {
		return nil, false, err
	}
	if w.epoch != loaded {
		return nil, false, errOther()
	}
	w.ids.forget(w.now().Add(-core.KeepIDs))
	p, answers, err := w.evaluate(ctx, txns, entries)
	if err != nil {
		return nil, false, err
	}
	if len(p.commits) > 0 {
		ok, err = w.write(ctx, p, touched)
	} else if ok = fresh; !ok { // a refusal must not come from a lagging view either
		place := w.place
		err = w.load(ctx, nil, nil)
		ok = w.place == place
	}
	return answers, ok, err
}

// gather returns the entries of keys, all at the known head. fresh says that this head was read just now.
func (w *writer) gather(ctx context.Context, keys []core.Key) (entries map[core.Key]held, fresh bool, err error) {
	for range maxTries {
		entries = make(map[core.Key]held, len(keys))
		absent := keys
		if w.known {
			absent = w.entries.collect(keys, entries)
			if len(absent) == 0 {
				return entries, fresh, nil
			}
		}
		known, place := w.known, w.place
		if err := w.load(ctx, absent, entries); err != nil {
			return nil, false, err
		}
		fresh = true
		if !known || w.place == place {
			return entries, fresh, nil
		}
	}
	return nil, false, errBusy()
}

func errBusy() error {
	return core.Errorf(core.ErrUnavailable, "Store is too busy: other nodes kept being faster")
}

// evaluate applies the batch to the entries. A transaction whose ID is known is answered with its first commit.
func (w *writer) evaluate(ctx context.Context, txns []core.Txn, entries map[core.Key]held) (*plan, []core.Answer, error) {
	present := make([]core.Entry, 0, len(entries))
	for _, h := range entries {
		if h.Version > 0 {
			present = append(present, h.Entry)
		}
	}
	p := &plan{overlay: core.NewOverlay(w.head, w.clock, present), before: entries}
	answers := make([]core.Answer, len(txns))
	inBatch := map[string]int{}
	for i, txn := range txns {
		id := txn.Meta.ID
		if id != "" {
			if first, ok := inBatch[id]; ok {
				answers[i] = answers[first]
				continue
			}
			c, err := w.repeated(ctx, id)
			if err != nil {
				return nil, nil, err
			}
			if c != nil {
				answers[i].Commit = *c
				continue
			}
		}
		c, err := p.overlay.Apply(txn)
		if err != nil {
			answers[i].Err = err
			continue
		}
		if id != "" {
			inBatch[id] = i
			p.ids = append(p.ids, remembered{digest: digestOf(id), revision: c.Revision})
		}
		p.commits = append(p.commits, c)
		answers[i].Commit = c
	}
	return p, answers, nil
}

// repeated returns the commit that had this ID, if it is one of the last core.KeepIDs.
func (w *writer) repeated(ctx context.Context, id string) (*core.Commit, error) {
	r, ok := w.ids.byDigest[digestOf(id)]
	if !ok {
		return nil, nil
	}
	commits, err := settled(func() ([]core.Commit, error) { return w.store.logFrom(ctx, r, 1, nil) })
	if err != nil || len(commits) == 0 || commits[0].Meta.ID != id {
		return nil, err
	}
	return &commits[0], nil
}

// write puts the plan into etcd if the head is still the known one. If not, what the comparison's other branch read is
// known then.
func (w *writer) write(ctx context.Context, p *plan, touched []core.Key) (bool, error) {
	s := w.store
	now := w.now()
	touched = touched[:min(len(touched), w.loadMax())]
	then, otherwise := p.ops(s.keys, now, inlineMax), w.loadOps(touched)
	if sizeOf(then)+sizeOf(otherwise) > s.request.Bytes {
		touched = nil
		then, otherwise = p.ops(s.keys, now, inlineLeast), w.loadOps(touched)
		if sizeOf(then)+sizeOf(otherwise) > s.request.Bytes {
			return false, errTooLarge()
		}
	}
	r, err := s.txn(ctx, w.unchanged(), then, otherwise)
	if err != nil {
		return false, err
	}
	if !r.Succeeded {
		w.known = false
		return false, w.absorb(ctx, r, touched, nil)
	}
	w.place = place{r.Header.Revision, string(then[0].ValueBytes())}
	w.head, w.clock = p.overlay.Head()
	for _, h := range p.after {
		w.entries.put(h)
	}
	w.ids.add(now, p.ids, w.head)
	return true, nil
}

// unchanged demands that head and epoch are the known ones.
func (w *writer) unchanged() []clientv3.Cmp {
	head := w.store.keys.head()
	same := []clientv3.Cmp{
		clientv3.Compare(clientv3.ModRevision(head), "=", w.place.mod),
		clientv3.Compare(clientv3.Value(w.store.keys.epoch()), "=", w.epoch),
	}
	if w.place.mod > 0 {
		same = append(same, clientv3.Compare(clientv3.Value(head), "=", w.place.content))
	}
	return same
}
