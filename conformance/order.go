package conformance

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

var orderPromises = []promise{
	{name: "nobody sees R+1 before R", test: nobodySeesLaterFirst},
	{name: "a commit is seen whole or not at all", test: seenWhole},
	{name: "a page is exact at its revision under writes", test: pageExact},
}

// underWrites runs look in a loop on every node while four writers make commits of one value to the keys left and right,
// which is not before each node was looked at ten times, and once more when they are done.
func underWrites(t testing.TB, s *subject, look func(b *core.Backend) error) {
	const writers, each, looks = 4, 40, 10
	ctx, done := context.WithCancel(t.Context())
	defer done()
	var lookers sync.WaitGroup
	defer lookers.Wait()
	var looked [2]atomic.Int64
	for i, b := range []*core.Backend{s.Backend, s.peer(t)} {
		lookers.Go(func() {
			defer looked[i].Store(looks)
			for last := false; !last; {
				last = ctx.Err() != nil
				if err := look(b); err != nil {
					t.Error(err)
					return
				}
				looked[i].Add(1)
			}
		})
	}
	peer := s.peer(t)
	together(t, writers, func(i int) error {
		for n := 0; n < each || looked[0].Load() < looks || looked[1].Load() < looks; n++ {
			b := []*core.Backend{s.Backend, peer}[i%2]
			value := fmt.Sprint(i, ".", n)
			if _, err := persist(ctx, b, txn(put("left", value), put("middle", value), put("right", value))); err != nil {
				return err
			}
		}
		return nil
	})
	done()
}

func nobodySeesLaterFirst(t testing.TB, s *subject) {
	var mu sync.Mutex
	at := map[*core.Backend]core.Revision{}
	underWrites(t, s, func(b *core.Backend) error {
		mu.Lock()
		seen := at[b]
		mu.Unlock()
		page, err := b.Store.Log(t.Context(), seen, 1000)
		if err != nil {
			return err
		}
		for _, c := range page {
			seen++
			if c.Revision != seen || len(c.Changes) != 3 {
				return fmt.Errorf("after revision %d somebody saw %d with %d changes, want the next one with 3", seen-1, c.Revision, len(c.Changes))
			}
		}
		st, err := b.Store.Status(t.Context())
		if err != nil {
			return err
		}
		if st.Head < seen {
			return fmt.Errorf("the head is %d, but somebody saw %d", st.Head, seen)
		}
		mu.Lock()
		at[b] = seen
		mu.Unlock()
		return nil
	})
	for b := range at { // who was away all the time, too
		logAfter(t, b, 0, 1000)
	}
}

func seenWhole(t testing.TB, s *subject) {
	underWrites(t, s, func(b *core.Backend) error {
		get, err := b.Store.Get(t.Context(), []core.Key{"left", "middle", "right"}, 0)
		if err != nil {
			return err
		}
		all, err := b.Store.List(t.Context(), core.Query{})
		if err != nil {
			return err
		}
		for _, p := range []core.Page{get, all} {
			if len(p.Entries) != 0 && len(p.Entries) != 3 {
				return fmt.Errorf("at revision %d are %d of 3 keys", p.Revision, len(p.Entries))
			}
			for _, e := range p.Entries {
				if first := p.Entries[0]; string(e.Doc.Value) != string(first.Doc.Value) || e.Revision != first.Revision {
					return fmt.Errorf("at revision %d %q is of commit %d and %q of commit %d", p.Revision, first.Key, first.Revision, e.Key, e.Revision)
				}
			}
		}
		return nil
	})
}

func pageExact(t testing.TB, s *subject) {
	var mu sync.Mutex
	seen := map[core.Revision]string{}
	underWrites(t, s, func(b *core.Backend) error {
		get, err := b.Store.Get(t.Context(), []core.Key{"left"}, 0)
		if err != nil {
			return err
		}
		all, err := b.Store.List(t.Context(), core.Query{Limit: 1, AtLeast: get.Revision})
		if err != nil {
			return err
		}
		if all.Revision < get.Revision {
			return fmt.Errorf("List of at least %d is at %d", get.Revision, all.Revision)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, p := range []core.Page{get, all} {
			text := ""
			for _, e := range p.Entries {
				text = fmt.Sprintf("%s = %s, version %d of commit %d", e.Key, e.Doc.Value, e.Version, e.Revision)
			}
			if before, ok := seen[p.Revision]; ok && before != text {
				return fmt.Errorf("revision %d shows %q and %q", p.Revision, before, text)
			}
			seen[p.Revision] = text
		}
		return nil
	})
	want := map[core.Revision]string{0: ""}
	for _, c := range logAfter(t, s.Backend, 0, 1000) {
		e := first(t, c.Changes).Entry
		want[c.Revision] = fmt.Sprintf("%s = %s, version %d of commit %d", e.Key, e.Doc.Value, e.Version, e.Revision)
	}
	for r, text := range seen {
		if text != want[r] {
			t.Errorf("a page of revision %d showed %q, want %q", r, text, want[r])
		}
	}
}
