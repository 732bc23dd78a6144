package conformance

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

var logPromises = []promise{
	{name: "the log holds every commit whole, in order", test: logIsWhole},
	{name: "cut at every revision and resumed, the log is the same", test: cutAndResume},
	{name: "a log page is about 4 MiB and holds at least one commit", test: logPageSize},
	{name: "ahead of the head the log is empty", test: aheadIsEmpty},
}

// scatter makes n commits of all kinds over a few keys, and returns them.
func scatter(t testing.TB, b *core.Backend, n int, seed uint64) []core.Commit {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	var all []core.Commit
	for i := range n {
		tx := txn()
		for k := range 6 {
			key := core.Key(fmt.Sprintf("key/%d", k))
			switch r.IntN(8) {
			case 0, 1:
				tx.Ops = append(tx.Ops, core.Op{Key: key, Do: core.OpPut, Doc: core.Doc{
					Value: fmt.Appendf(nil, "%d", i), ACL: &core.ACL{Read: []string{fmt.Sprint(r.IntN(3))}},
				}})
			case 2:
				tx.Ops = append(tx.Ops, del(key))
			case 3:
				if r.IntN(4) == 0 {
					tx.Ops = append(tx.Ops, purge(key))
				}
			}
		}
		r.Shuffle(len(tx.Ops), func(i, j int) { tx.Ops[i], tx.Ops[j] = tx.Ops[j], tx.Ops[i] })
		tx.Meta.Note = fmt.Sprint("note ", i)
		all = append(all, mustCommit(t, b, tx))
	}
	return all
}

func logIsWhole(t testing.TB, s *subject) {
	want := scatter(t, s.Backend, 60, 1)
	for _, b := range []*core.Backend{s.Backend, s.peer(t)} {
		for _, limit := range []int{1, 7, 1000} {
			same(t, "the log", want, logAfter(t, b, 0, limit))
		}
		page, err := b.Store.Log(t.Context(), 0, 0)
		if err != nil {
			t.Errorf("Log without a limit: %v", err)
		}
		same(t, "the log without a limit", want, page)
	}
}

func cutAndResume(t testing.TB, s *subject) {
	whole := scatter(t, s.Backend, 40, 2)
	for cut := range len(whole) + 1 {
		page, err := s.Store.Log(t.Context(), 0, max(cut, 1))
		if err != nil {
			t.Fatalf("Log(after 0, limit %d): %v", cut, err)
		}
		page = page[:min(cut, len(page))]
		rest := logAfter(t, s.Backend, core.Revision(len(page)), 1000)
		same(t, fmt.Sprintf("the log, cut after %d", len(page)), whole, append(page, rest...))
	}
}

func logPageSize(t testing.TB, s *subject) {
	large := bytes.Repeat([]byte("v"), core.MaxValue)
	for i := range 9 {
		commit(t, s.Backend, core.Op{Key: core.Key(fmt.Sprint(i % 2)), Do: core.OpPut, Doc: core.Doc{Value: large}})
	}
	page, err := s.Store.Log(t.Context(), 0, 100)
	if err != nil || len(page) < 1 || len(page) > 8 {
		t.Errorf("of 9 commits of 1 MiB, one page holds %d (%v), want about 4 MiB", len(page), err)
	}
	for i, c := range logAfter(t, s.Backend, 0, 100) {
		if v := first(t, c.Changes).Entry.Doc.Value; c.Revision != core.Revision(i+1) || !bytes.Equal(v, large) {
			t.Errorf("commit %d is revision %d with %d bytes", i+1, c.Revision, len(v))
		}
	}
}

func aheadIsEmpty(t testing.TB, s *subject) {
	for _, head := range []core.Revision{0, 1, 2} {
		for _, ahead := range []core.Revision{0, 1, 1000} {
			if page, err := s.Store.Log(t.Context(), head+ahead, 10); err != nil || len(page) != 0 {
				t.Errorf("at head %d, Log(after %d) gives %d commits, %v", head, head+ahead, len(page), err)
			}
		}
		commit(t, s.Backend, put("a", "1"))
	}
}
