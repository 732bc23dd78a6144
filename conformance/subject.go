package conformance

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dynconfig/dynconfig/core"
)

// subject is the backend that a promise is asked of, with a steady store.
type subject struct {
	*core.Backend
	origin *core.Backend // as it was opened
	shaken atomic.Bool
	open   Opener
	o      Options
}

func newSubject(t testing.TB, open Opener, o Options) *subject {
	s := &subject{open: open, o: o}
	s.adopt(t, open(t))
	return s
}

// adopt makes b the subject's backend and closes it when the test ends.
func (s *subject) adopt(t testing.TB, b *core.Backend) {
	t.Helper()
	s.Backend, s.origin = s.calm(b), b
	closeAtEnd(t, b)
}

// calm returns b with a steady store.
func (s *subject) calm(b *core.Backend) *core.Backend {
	c := *b
	c.Store = &steady{Store: b.Store, shaken: &s.shaken}
	return &c
}

func closeAtEnd(t testing.TB, b *core.Backend) {
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// peer returns the same store as another node sees it, or the very backend where only one process may have it.
func (s *subject) peer(t testing.TB) *core.Backend {
	if s.o.Peer == nil {
		return s.Backend
	}
	return s.calm(s.another(t))
}

// another opens a peer as it is.
func (s *subject) another(t testing.TB) *core.Backend {
	b := s.o.Peer(t, s.origin)
	closeAtEnd(t, b)
	return b
}

// reopen restarts the subject.
func (s *subject) reopen(t testing.TB) { s.adopt(t, s.o.Reopen(t, s.origin)) }

// shake calls Options.Break.
func (s *subject) shake(t testing.TB) {
	s.shaken.Store(true)
	s.o.Break(t, s.origin)
}

// patience is how long a test waits for what may come late.
func (s *subject) patience() time.Duration {
	if s.o.sick {
		return time.Second
	}
	return patience
}

// rounds is how many rounds of a stress there are at least.
func (s *subject) rounds() uint64 {
	if s.o.sick {
		return tries
	}
	return 4 // by then there was a round of each sort
}

// put is the simplest change.
func put(key core.Key, value string) core.Op {
	return core.Op{Key: key, Do: core.OpPut, Doc: core.Doc{Value: []byte(value)}}
}

func del(key core.Key) core.Op   { return core.Op{Key: key, Do: core.OpDelete} }
func purge(key core.Key) core.Op { return core.Op{Key: key, Do: core.OpPurge} }

// txn is a transaction of its own ID.
func txn(ops ...core.Op) core.Txn {
	return core.Txn{Meta: core.Meta{ID: rand.Text(), Time: now(), Author: "tester"}, Ops: ops}
}

// when adds conditions to a transaction.
func when(tx core.Txn, checks ...core.Check) core.Txn {
	tx.Checks = append(slices.Clone(tx.Checks), checks...)
	return tx
}

func version(key core.Key, v int64) core.Check       { return core.Check{Key: key, Version: &v} }
func rules(key core.Key, r core.Revision) core.Check { return core.Check{Key: key, Rules: &r} }
func now() time.Time                                 { return time.Now().UTC().Truncate(time.Microsecond) }

// commit commits ops without conditions.
func commit(t testing.TB, b *core.Backend, ops ...core.Op) core.Commit {
	t.Helper()
	return mustCommit(t, b, txn(ops...))
}

// mustCommit commits tx. An unknown outcome is repeated, as the contract has it.
func mustCommit(t testing.TB, b *core.Backend, tx core.Txn) core.Commit {
	t.Helper()
	c, err := persist(t.Context(), b, tx)
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return c
}

// patience is how long the suite waits for a store, which may be on a machine that does much else.
const patience = 2 * time.Minute

// tries is how often a test about races looks at a backend that is broken on purpose before it must have seen it.
const tries = 1000

// persist commits tx, again and again while the outcome is unknown.
func persist(ctx context.Context, b *core.Backend, tx core.Txn) (c core.Commit, err error) {
	err = insist(ctx, func() error {
		c, err = b.Store.Commit(ctx, tx)
		return err
	})
	return c, err
}

// insist repeats call while it fails with ErrUnavailable, with short breaks.
func insist(ctx context.Context, call func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := call()
		if !errors.Is(err, core.ErrUnavailable) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-retry():
		}
	}
}

// retry fires when it is time to try again what may have been lost.
func retry() <-chan time.Time { return time.After(5 * time.Millisecond) }

// get returns the entry of a key, nil if there is none, at a revision of at least atLeast.
func get(t testing.TB, b *core.Backend, key core.Key, atLeast core.Revision) *core.Entry {
	t.Helper()
	p := getMany(t, b, []core.Key{key}, atLeast)
	if len(p.Entries) == 0 {
		return nil
	}
	return &p.Entries[0]
}

func getMany(t testing.TB, b *core.Backend, keys []core.Key, atLeast core.Revision) core.Page {
	t.Helper()
	p, err := b.Store.Get(t.Context(), keys, atLeast)
	if err != nil {
		t.Fatalf("Get(%q, at least %d): %v", keys, atLeast, err)
	}
	if p.Revision < atLeast {
		t.Errorf("Get(%q, at least %d) is at revision %d", keys, atLeast, p.Revision)
	}
	return p
}

// list returns one page.
func list(t testing.TB, b *core.Backend, q core.Query) core.Page {
	t.Helper()
	p, err := b.Store.List(t.Context(), q)
	if err != nil {
		t.Fatalf("List(%+v): %v", q, err)
	}
	if p.Revision < q.AtLeast {
		t.Errorf("List(%+v) is at revision %d", q, p.Revision)
	}
	if p.More && len(p.Entries) == 0 {
		t.Fatalf("List(%+v): a page without an entry says that the range goes on: nobody can follow it", q)
	}
	return p
}

// listAll follows pages to the end, and returns how many there were.
func listAll(t testing.TB, b *core.Backend, q core.Query) (entries []core.Entry, pages int) {
	t.Helper()
	for {
		p := list(t, b, q)
		entries, pages = append(entries, p.Entries...), pages+1
		if !p.More {
			return entries, pages
		}
		q.From = p.Entries[len(p.Entries)-1].Key + "\x00"
	}
}

// logAfter reads the log to its end, limit commits at a time.
func logAfter(t testing.TB, b *core.Backend, after core.Revision, limit int) []core.Commit {
	t.Helper()
	var all []core.Commit
	for {
		page, err := b.Store.Log(t.Context(), after, limit)
		if err != nil {
			t.Fatalf("Log(after %d): %v", after, err)
		}
		if len(page) > limit {
			t.Fatalf("Log(after %d, limit %d) returned %d commits", after, limit, len(page))
		}
		if len(page) == 0 {
			return all
		}
		for _, c := range page {
			after++
			if c.Revision != after {
				t.Fatalf("the log goes from revision %d to %d", after-1, c.Revision)
			}
		}
		all = append(all, page...)
	}
}

// historyOf reads a key's history to its end, limit records at a time.
func historyOf(t testing.TB, b *core.Backend, key core.Key, limit int) []core.Record {
	t.Helper()
	var all []core.Record
	before := core.Revision(0)
	for {
		page, err := b.Store.History(t.Context(), key, before, limit)
		if err != nil {
			t.Fatalf("History(%q, before %d): %v", key, before, err)
		}
		if len(page) > limit {
			t.Fatalf("History(%q, before %d, limit %d) returned %d records", key, before, limit, len(page))
		}
		for _, r := range page {
			if before != 0 && r.Revision >= before {
				t.Fatalf("History(%q) goes from revision %d to %d", key, before, r.Revision)
			}
			before = r.Revision
		}
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
	}
}

func status(t testing.TB, b *core.Backend) core.Status {
	t.Helper()
	st, err := b.Store.Status(t.Context())
	if err != nil {
		t.Fatalf("Status: %v", err)
	}
	return st
}

// same fails if two things that a store said differ. Nil and empty are the same but for the lists of an ACL.
func same(t testing.TB, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, bothEmpty[core.Change](), bothEmpty[core.Entry](), bothEmpty[core.Commit](), bothEmpty[core.Record](), cmp.Comparer(bytes.Equal)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// first returns the first of what a store answered, which is not to be nothing.
func first[T any](t testing.TB, all []T) T {
	t.Helper()
	if len(all) == 0 {
		t.Fatalf("a store answered with no %T where there is one", *new(T))
	}
	return all[0]
}

func bothEmpty[T any]() cmp.Option {
	return cmp.FilterValues(func(a, b []T) bool { return len(a) == 0 && len(b) == 0 }, cmp.Ignore())
}

// together runs f n times at once and waits; the first error fails the test.
func together(t testing.TB, n int, f func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
