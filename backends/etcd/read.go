package etcd

import (
	"context"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dynconfig/dynconfig/core"
)

// Get implements core.Store.
func (s *Store) Get(ctx context.Context, keys []core.Key, atLeast core.Revision) (core.Page, error) {
	if len(keys) > core.MaxGet {
		return core.Page{}, core.Errorf(core.ErrTooLarge, "More than %d keys in one read", core.MaxGet)
	}
	if !slices.IsSorted(keys) {
		keys = slices.Sorted(slices.Values(keys))
	}
	keys = slices.Compact(slices.Clone(keys))
	return settled(func() (core.Page, error) { return s.get(ctx, keys, atLeast) })
}

// get reads as many entries in each request as fit an etcd transaction, all at the state that the first one saw.
func (s *Store) get(ctx context.Context, keys []core.Key, atLeast core.Revision) (core.Page, error) {
	c := collector{atLeast: atLeast}
	for {
		some := keys[:min(len(keys), 2*s.limits.MaxOps)]
		ops := []clientv3.Op{clientv3.OpGet(s.keys.head(), c.at...)}
		for _, k := range some {
			ops = append(ops, clientv3.OpGet(s.keys.entry(k), c.at...))
		}
		r, err := s.read(ctx, ops...)
		if err != nil {
			return core.Page{}, err
		}
		if err := c.begin(r); err != nil {
			return core.Page{}, err
		}
		for i, k := range some {
			for _, kv := range r.Responses[i+1].GetResponseRange().Kvs {
				h, err := decodeEntry(k, kv.Value)
				if err != nil {
					return core.Page{}, err
				}
				c.add(h)
			}
		}
		if keys = keys[len(some):]; len(keys) == 0 {
			return c.page, s.fill(ctx, c.refs, c.at)
		}
	}
}

// List implements core.Store. Whoever begins at the beginning starts over, also where there is another epoch.
func (s *Store) List(ctx context.Context, q core.Query) (core.Page, error) {
	if q.From == "" {
		s.loaded.Store(s.seen.Load())
	}
	return settled(func() (core.Page, error) { return s.list(ctx, q) })
}

func (s *Store) list(ctx context.Context, q core.Query) (core.Page, error) {
	c := collector{atLeast: q.AtLeast}
	if q.To != "" && q.From >= q.To {
		q.From = q.To // an empty range, but the page has a revision
	}
	for chunk := newChunk(q.Limit, 64); ; {
		ask := slices.Concat(c.at, []clientv3.OpOption{clientv3.WithLimit(chunk.next(c.size))})
		r, err := s.read(ctx, clientv3.OpGet(s.keys.head(), c.at...), s.keys.entryRange(q.From, q.To, ask...))
		if err != nil {
			return core.Page{}, err
		}
		if err := c.begin(r); err != nil {
			return core.Page{}, err
		}
		found := r.Responses[1].GetResponseRange()
		for _, kv := range found.Kvs {
			q.From = s.keys.keyOf(kv.Key)
			h, err := decodeEntry(q.From, kv.Value)
			if err != nil {
				return core.Page{}, err
			}
			if h.Deleted && !q.Deleted {
				continue
			}
			if q.NoValue {
				h.Doc.Value, h.large.value = nil, 0
			}
			if c.full(h, q.Limit) {
				c.page.More = true
				return c.page, s.fill(ctx, c.refs, c.at)
			}
			c.add(h)
		}
		if !found.More {
			return c.page, s.fill(ctx, c.refs, c.at)
		}
		chunk.took(len(found.Kvs))
		q.From += "\x00"
	}
}

// collector builds a page from several answers at one state of etcd.
type collector struct {
	atLeast core.Revision
	page    core.Page
	at      []clientv3.OpOption // nil until the first answer
	size    int
	refs    []ref
}

// begin takes the page's revision from the first answer, whose first response is the head.
func (c *collector) begin(r *clientv3.TxnResponse) (err error) {
	if c.at != nil {
		return nil
	}
	c.at = []clientv3.OpOption{clientv3.WithRev(r.Header.Revision)}
	c.page.Revision, _, err = headOf(r, 0)
	if err == nil && c.page.Revision < c.atLeast {
		return core.Errorf(core.ErrUnavailable, "Store has not reached this revision")
	}
	return err
}

// full reports that h belongs on the next page.
func (c *collector) full(h held, limit int) bool {
	n := len(c.page.Entries)
	return n > 0 && (n == limit || c.size+h.size() > core.PageBytes)
}

func (c *collector) add(h held) {
	i := len(c.page.Entries)
	c.page.Entries = append(c.page.Entries, h.Entry)
	c.size += h.size()
	c.refs = append(c.refs, h.refs(func() *core.Entry { return &c.page.Entries[i] })...)
}

// refs names what is large, to be filled in where entry then lies.
func (h held) refs(entry func() *core.Entry) []ref {
	if h.large == (large{}) {
		return nil
	}
	return []ref{{key: h.Key, revision: h.Revision, size: h.large.value + h.large.acl, fill: func(found core.Change) {
		if h.large.value > 0 {
			entry().Doc.Value = found.Entry.Doc.Value
		}
		if h.large.acl > 0 {
			entry().Doc.ACL = found.Entry.Doc.ACL
		}
	}}}
}

func (h held) size() int { return weight(h.Entry) + len(h.Doc.Value) + h.large.value + h.large.acl }

// chunk decides how many records to ask for, so that an answer is about a page: nobody knows their sizes beforehand.
type chunk struct{ limit, n, records int }

func newChunk(limit, first int) *chunk { return &chunk{limit: limit, n: first} }

// next returns how many to ask for, when the records so far came to size.
func (c *chunk) next(size int) int64 {
	if c.records > 0 {
		c.n = min(4*c.n, max(8, (core.PageBytes-size)/max(1, size/c.records)))
	}
	if c.limit > 0 {
		return int64(min(c.n, c.limit+1))
	}
	return int64(c.n)
}

func (c *chunk) took(records int) { c.records += records }

// fillBytes is about how much one request for large content asks for.
const fillBytes = 8 << 20

// fill reads what refs name, at the state at.
func (s *Store) fill(ctx context.Context, refs []ref, at []clientv3.OpOption) error {
	for len(refs) > 0 {
		var ops []clientv3.Op
		for size := 0; len(ops) < len(refs) && len(ops) < s.limits.MaxOps && size < fillBytes; {
			r := refs[len(ops)]
			size += r.size
			ops = append(ops, clientv3.OpGet(s.keys.history(r.key, r.revision), at...))
		}
		answer, err := s.read(ctx, ops...)
		if err != nil {
			return err
		}
		for i, r := range refs[:len(ops)] {
			kvs := answer.Responses[i].GetResponseRange().Kvs
			if len(kvs) == 0 {
				return core.Errorf(core.ErrInternal, "Stored data cannot be read").Because(errTruncated)
			}
			record, _, err := decodeRecord(r.key, r.revision, kvs[0].Value)
			if err != nil {
				return err
			}
			r.fill(record.Change)
		}
		refs = refs[len(ops):]
	}
	return nil
}
