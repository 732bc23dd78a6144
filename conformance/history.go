package conformance

import (
	"fmt"
	"slices"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

var historyPromises = []promise{
	{name: "history is every change of a key, newest first", test: historyIsEveryChange},
	{name: "history ends before the revision asked", test: historyBefore},
	{name: "purging a key purges its history", test: purgePurgesHistory},
}

// recordsOf picks a key's changes out of commits, newest first.
func recordsOf(key core.Key, commits []core.Commit) []core.Record {
	var out []core.Record
	for _, c := range commits {
		for _, ch := range c.Changes {
			if ch.Entry.Key == key {
				out = append(out, core.Record{Revision: c.Revision, Meta: c.Meta, Change: ch})
				if ch.Do == core.OpPurge {
					out = nil
				}
			}
		}
	}
	slices.Reverse(out)
	return out
}

func historyIsEveryChange(t testing.TB, s *subject) {
	commits := scatter(t, s.Backend, 60, 3)
	for _, b := range []*core.Backend{s.Backend, s.peer(t)} {
		for k := range 7 {
			key := core.Key(fmt.Sprintf("key/%d", k))
			for _, limit := range []int{1, 3, 1000} {
				same(t, fmt.Sprintf("the history of %q", key), recordsOf(key, commits), historyOf(t, b, key, limit))
			}
		}
	}
	if h := historyOf(t, s.Backend, "key/", 10); len(h) != 0 {
		t.Errorf("a key that never was has a history of %d records", len(h))
	}
}

func historyBefore(t testing.TB, s *subject) {
	commits := scatter(t, s.Backend, 30, 4)
	all := recordsOf("key/1", commits)
	for before := range core.Revision(len(commits) + 3) {
		var want []core.Record
		for _, r := range all {
			if before == 0 || r.Revision < before {
				want = append(want, r)
			}
		}
		got, err := s.Store.History(t.Context(), "key/1", before, 1000)
		if err != nil {
			t.Fatalf("History(before %d): %v", before, err)
		}
		same(t, fmt.Sprintf("the history before %d", before), want, got)
	}
}

func purgePurgesHistory(t testing.TB, s *subject) {
	commit(t, s.Backend, put("a", "1"), put("ab", "1"))
	commit(t, s.Backend, put("a", "2"), put("ab", "2"))
	commit(t, s.Backend, purge("a"))
	if h := historyOf(t, s.peer(t), "a", 10); len(h) != 0 {
		t.Errorf("after the purge the history holds %+v", h)
	}
	c := commit(t, s.Backend, put("a", "3"))
	if h := historyOf(t, s.Backend, "a", 10); len(h) != 1 || h[0].Revision != c.Revision {
		t.Errorf("after the purge and a new beginning the history holds %+v", h)
	}
	if h := historyOf(t, s.Backend, "ab", 10); len(h) != 2 {
		t.Errorf("after the purge of another key the history holds %+v", h)
	}
	if n := len(logAfter(t, s.Backend, 0, 10)); n != 4 {
		t.Errorf("after the purge the log holds %d commits, want 4", n)
	}
}
