package migrate_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/conformance"
	"github.com/dynconfig/dynconfig/core"
)

func TestMain(m *testing.M) { conformance.VerifyMain(m) }

func empty(t testing.TB) *core.Backend {
	t.Helper()
	return closed(t, memory.Open(memory.Options{Shared: true}))
}

// closed closes b when the test ends.
func closed(t testing.TB, b *core.Backend) *core.Backend {
	t.Helper()
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func commit(t testing.TB, b *core.Backend, txn core.Txn) core.Commit {
	t.Helper()
	c, err := b.Store.Commit(t.Context(), txn)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func put(env core.EnvID, kind core.Kind, name, value string) core.Op {
	return core.Op{Key: core.MakeKey(env, kind, name), Do: core.OpPut, Doc: core.Doc{Value: []byte(value)}}
}

func compact(t testing.TB, b *core.Backend, upTo core.Revision, keep int) {
	t.Helper()
	if err := b.Store.Compact(t.Context(), upTo, keep); err != nil {
		t.Fatal(err)
	}
}

// grow makes n commits of everything that a store can hold.
func grow(t testing.TB, b *core.Backend, seed uint64, n int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		clock = clock.Add(time.Duration(r.IntN(5)) * time.Minute)
		txn := core.Txn{Meta: core.Meta{ID: fmt.Sprint(seed, " ", i), Time: clock, Author: []string{"ann", "bob", ""}[r.IntN(3)]}}
		if r.IntN(3) == 0 {
			txn.Meta.Note, txn.Meta.Attrs = fmt.Sprint("note ", i), map[string]string{"request": fmt.Sprint(i)}
		}
		for _, k := range r.Perm(len(names))[:r.IntN(6)] {
			txn.Ops = append(txn.Ops, anyOp(r, clock, names[k]))
		}
		commit(t, b, txn)
	}
}

// names are the keys of grow, of every kind that entries have.
var names = func() (keys []core.Key) {
	for i := range 12 {
		keys = append(keys, core.MakeKey(core.DefaultEnv, core.KindKey, fmt.Sprintf("app.k%d", i)), core.MakeKey("staging", core.KindKey, fmt.Sprintf("app/k%d", i)))
	}
	return append(
		keys, core.MakeKey(core.DefaultEnv, core.KindNamespace, "app"), core.MakeKey(core.DefaultEnv, core.KindNamespace, "*"),
		core.MakeKey(core.SystemEnv, core.KindEnvironment, "staging"), core.MakeKey(core.SystemEnv, core.KindIdempotency, "abc"),
		core.MakeKey("staging", core.KindDocument, "service.yaml"), "odd\x00\xff key",
	)
}()

func anyOp(r *rand.Rand, clock time.Time, key core.Key) core.Op {
	op := core.Op{Key: key}
	switch r.IntN(12) {
	case 0, 1:
		op.Do = core.OpDelete
		if r.IntN(2) == 0 {
			op.Doc.Attrs = map[string]string{core.AttrExpired: "true"}
		}
		return op
	case 2:
		op.Do = core.OpPurge
		return op
	}
	op.Do = core.OpPut
	op.Doc.Value = fmt.Appendf(nil, "%d", r.Int64())
	if r.IntN(40) == 0 {
		op.Doc.Value = make([]byte, 1<<(10+r.IntN(8)))
	}
	switch r.IntN(4) {
	case 0:
		op.Doc.ACL = &core.ACL{Read: []string{"*"}, Write: []string{}}
	case 1:
		op.Doc.ACL = &core.ACL{Admin: []string{"service:*", "ann"}}
	}
	if r.IntN(3) == 0 {
		op.Doc.TTL, op.Doc.Expires = time.Hour, clock.Add(time.Hour)
	}
	return op
}

// content is what a copy must have in common with its source.
type content struct {
	Entries []core.Entry
	History map[core.Key][]core.Record
}

// answered returns what a call answers. It asks again where a server on a busy machine does not answer in time.
func answered[T any](t testing.TB, call func() (T, error)) T {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); ; <-time.After(10 * time.Millisecond) {
		answer, err := call()
		if err == nil {
			return answer
		}
		if !errors.Is(err, core.ErrUnavailable) || time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func contentOf(t testing.TB, b *core.Backend) content {
	t.Helper()
	c := content{History: map[core.Key][]core.Record{}}
	for q := (core.Query{Deleted: true}); ; {
		p := answered(t, func() (core.Page, error) { return b.Store.List(t.Context(), q) })
		c.Entries = append(c.Entries, p.Entries...)
		if !p.More {
			break
		}
		q.From = p.Entries[len(p.Entries)-1].Key + "\x00"
	}
	for i, e := range c.Entries {
		c.Entries[i] = timeless(e)
		var all []core.Record
		for before := core.Revision(0); ; {
			page := answered(t, func() ([]core.Record, error) { return b.Store.History(t.Context(), e.Key, before, 1000) })
			if len(page) == 0 {
				break
			}
			all, before = append(all, page...), page[len(page)-1].Revision
		}
		if len(all) == 0 { // a copy has a record of it
			do := core.OpPut
			if e.Deleted {
				do = core.OpDelete
			}
			all = []core.Record{{Meta: core.Meta{Time: e.Modified, Author: e.Author}, Change: core.Change{Do: do, Entry: e}}}
		}
		for j := range all {
			r := &all[j]
			r.Revision, r.Meta.ID, r.Change.Entry = 0, "", timeless(r.Change.Entry)
			if j == len(all)-1 { // of which a copy does not know what was before
				r.Change.Was = core.Was{}
			}
		}
		c.History[e.Key] = all
	}
	return c
}

// timeless is an entry without the revisions, which are another store's own.
func timeless(e core.Entry) core.Entry {
	e.Revision, e.Rules = 0, 0
	if len(e.Doc.Value) == 0 {
		e.Doc.Value = nil
	}
	return e
}

// same demands that two stores hold the same, without asking package migrate.
func same(t testing.TB, from, to *core.Backend) {
	t.Helper()
	if diff := gocmp.Diff(contentOf(t, from), contentOf(t, to)); diff != "" {
		t.Errorf("the copy differs (-source +target):\n%s", diff)
	}
	inOrder(t, to)
}

// inOrder demands that the log of a store is in the order of time, and each commit of one moment.
func inOrder(t testing.TB, b *core.Backend) {
	t.Helper()
	var last time.Time
	for after := core.Revision(0); ; {
		page := answered(t, func() ([]core.Commit, error) { return b.Store.Log(t.Context(), after, 0) })
		if len(page) == 0 {
			return
		}
		for _, c := range page {
			if c.Meta.Time.Before(last) || !slices.IsSortedFunc(c.Changes, func(a, b core.Change) int { return cmp.Compare(a.Entry.Key, b.Entry.Key) }) {
				t.Errorf("commit %d of the copy is at %v, the one before at %v", c.Revision, c.Meta.Time, last)
			}
			after, last = c.Revision, c.Meta.Time
		}
	}
}

// hooked is a Store that calls something before each Commit, which may fail.
type hooked struct {
	core.Store
	before func(ctx context.Context, txn core.Txn) error
}

func (h *hooked) Commit(ctx context.Context, txn core.Txn) (core.Commit, error) {
	if err := h.before(ctx, txn); err != nil {
		return core.Commit{}, err
	}
	return h.Store.Commit(ctx, txn)
}

func hook(b *core.Backend, before func(ctx context.Context, txn core.Txn) error) *core.Backend {
	hookedBackend := *b
	hookedBackend.Store = &hooked{Store: b.Store, before: before}
	return &hookedBackend
}

func refused(t testing.TB, err error, sentence string) {
	t.Helper()
	var e *core.Error
	if !errors.As(err, &e) || e.Detail != sentence {
		t.Errorf("got %v, want %q", err, sentence)
	}
}
