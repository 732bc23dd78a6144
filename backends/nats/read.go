package nats

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

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
	return s.page(ctx, atLeast, true, func(v *view) (items []*item, more bool) {
		for i, k := range keys {
			if it := v.get(k); it != nil && (i == 0 || k != keys[i-1]) {
				items = append(items, it)
			}
		}
		return items, false
	})
}

// List implements core.Store. Whoever begins at the beginning starts over, also where there is another epoch.
func (s *Store) List(ctx context.Context, q core.Query) (core.Page, error) {
	if err := s.alive(ctx); err != nil {
		return core.Page{}, err
	}
	if q.From == "" {
		if err := s.begin(ctx); err != nil {
			return core.Page{}, err
		}
	}
	return s.page(ctx, q.AtLeast, !q.NoValue, func(v *view) (items []*item, more bool) {
		size := 0
		v.items.AscendGreaterOrEqual(&item{entry: core.Entry{Key: q.From}}, func(it *item) bool {
			if q.To != "" && it.entry.Key >= q.To {
				return false
			}
			if it.entry.Deleted && !q.Deleted {
				return true
			}
			size += it.weight(!q.NoValue)
			if len(items) > 0 && (size > core.PageBytes || len(items) == q.Limit) {
				more = true
				return false
			}
			items = append(items, it)
			return true
		})
		return items, more
	})
}

// page reads what choose chooses, all at one revision, with the values if they are wanted. It starts over if they went
// elsewhere meanwhile.
func (s *Store) page(ctx context.Context, atLeast core.Revision, values bool, choose func(*view) ([]*item, bool)) (core.Page, error) {
	if err := s.reach(ctx, atLeast); err != nil {
		return core.Page{}, err
	}
	ctx, cancel := s.timeout(ctx)
	defer cancel()
	for try := 0; ; try++ {
		var items []*item
		var p core.Page
		if err := s.use(ctx, func(v *view) {
			p.Revision = v.head
			items, p.More = choose(v)
		}); err != nil {
			return core.Page{}, err
		}
		wants := make([]want, 0, len(items))
		for i, it := range items {
			p.Entries = append(p.Entries, it.lend(values))
			if values && it.size > 0 {
				wants = append(wants, want{seq: it.seq, key: it.entry.Key, revision: it.entry.Revision, fill: func(r core.Record) {
					p.Entries[i].Doc.Value = r.Change.Entry.Doc.Value
				}})
			}
		}
		err := s.fetch(ctx, wants)
		if err == nil || !errors.Is(err, errGone) || try == maxGone {
			return p, err
		}
	}
}

// maxGone is how often a read starts over because what it read was given up by a compaction meanwhile.
const maxGone = 5

// reach waits until this node shows a revision that somebody has seen.
func (s *Store) reach(ctx context.Context, atLeast core.Revision) error {
	if err := s.alive(ctx); err != nil {
		return err
	}
	ctx, cancel := s.timeout(ctx)
	defer cancel()
	var head core.Revision
	err := s.await(ctx, func(v *view) bool { head = v.head; return true })
	if err == nil && head < atLeast {
		head, err = s.Sync(ctx)
	}
	if err == nil && head < atLeast {
		return core.Errorf(core.ErrUnavailable, "Store has not reached this revision")
	}
	return err
}

// want is a change that lies in a message of the stream.
type want struct {
	seq      uint64
	key      core.Key
	revision core.Revision
	fill     func(core.Record)
}

// fetches is how many messages are read at once.
const fetches = 16

// fetch reads what is wanted, each message once.
func (s *Store) fetch(ctx context.Context, wants []want) error {
	slices.SortStableFunc(wants, bySeq)
	var groups [][]want
	for len(wants) > 0 {
		n := 1
		for n < len(wants) && wants[n].seq == wants[0].seq {
			n++
		}
		groups, wants = append(groups, wants[:n]), wants[n:]
	}
	return s.each(ctx, len(groups), func(ctx context.Context, i int) error {
		r, err := s.body(ctx, groups[i][0].seq)
		if err != nil {
			return err
		}
		for _, w := range groups[i] {
			found, ok := r.find(w.key, w.revision)
			if !ok {
				return unreadable(errMissing)
			}
			w.fill(found)
		}
		return nil
	})
}

func bySeq(a, b want) int { return cmp.Compare(a.seq, b.seq) }

// each calls read for 0 to n-1, several at once, and returns the first error.
func (s *Store) each(ctx context.Context, n int, read func(context.Context, int) error) error {
	if n == 0 {
		return nil
	}
	ctx, cancel := s.timeout(ctx)
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, fetches) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n) && ctx.Err() == nil; i = next.Add(1) - 1 {
				if err := read(ctx, int(i)); err != nil {
					fail(err)
				}
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return fault(err)
	}
	return nil
}

var errMissing = errors.New("a change is not in the message that is to have it")
