package conformance

import (
	"slices"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

func timeNeverGoesBack(t testing.TB, s *subject) {
	base := now().Add(-time.Minute)
	nodes := []*core.Backend{s.Backend, s.peer(t)}
	last := time.Time{}
	for i, at := range []time.Time{
		base.In(time.FixedZone("east", 7200)).Add(999), base.Add(-time.Hour), base.Add(time.Second), base, base.Add(2 * time.Second), {},
	} {
		tx := txn(put("a", "1"))
		tx.Meta.Time = at
		c := mustCommit(t, nodes[i%2], tx)
		got := c.Meta.Time
		if got.Before(last) || got.Before(at.Truncate(time.Microsecond)) {
			t.Errorf("commit %d at %v has time %v, after one at %v", i+1, at, got, last)
		}
		if got.Location() != time.UTC || !got.Equal(got.Truncate(time.Microsecond)) {
			t.Errorf("commit %d has time %v, which is not UTC in microseconds", i+1, got)
		}
		last = got
		if e := get(t, nodes[i%2], "a", c.Revision); !e.Modified.Equal(got) || e.Modified.Location() != time.UTC {
			t.Errorf("commit %d at %v left an entry modified %v", i+1, got, e.Modified)
		}
		if at := first(t, logAfter(t, s.Backend, c.Revision-1, 1)).Meta.Time; !at.Equal(got) || at.Location() != time.UTC {
			t.Errorf("commit %d at %v is logged at %v", i+1, got, at)
		}
		if at := first(t, historyOf(t, s.Backend, "a", 10)).Meta.Time; !at.Equal(got) || at.Location() != time.UTC {
			t.Errorf("commit %d at %v is in history at %v", i+1, got, at)
		}
	}
}

// argumentsNotKept changes what it passed in and, as far as they are its own, the results.
func argumentsNotKept(t testing.TB, s *subject) {
	doc := core.Doc{Value: []byte("value"), ACL: &core.ACL{Read: []string{"ann"}}, Attrs: map[string]string{"a": "b"}}
	keys := []core.Key{"b", "a"}
	tx := txn(core.Op{Key: "a", Do: core.OpPut, Doc: doc}, put("b", "1"))
	tx.Meta.Attrs = map[string]string{"c": "d"}
	c := mustCommit(t, s.Backend, tx)
	id := tx.Meta.ID
	doc.Value[0], doc.ACL.Read[0], doc.Attrs["a"], tx.Meta.Attrs["c"] = 'X', "eve", "X", "X"
	tx.Ops[0].Key = "X"
	clear(c.Changes)

	p := getMany(t, s.Backend, keys, 1)
	if keys[0] != "b" {
		t.Errorf("Get sorted the caller's keys")
	}
	first(t, p.Entries)
	p.Entries[0].Key = "X"
	l := logAfter(t, s.Backend, 0, 10)
	first(t, first(t, l).Changes)
	l[0].Changes[0].Entry.Key = "X"
	h := historyOf(t, s.Backend, "a", 10)
	first(t, h)
	h[0].Change.Entry.Key = "X"
	page := list(t, s.Backend, core.Query{AtLeast: 1})
	slices.Reverse(page.Entries)

	again := core.Txn{Meta: core.Meta{ID: id}}
	whole := func(what string, key core.Key, d core.Doc) {
		t.Helper()
		want := core.Doc{Value: []byte("value"), ACL: &core.ACL{Read: []string{"ann"}}, Attrs: map[string]string{"a": "b"}}
		same(t, what, "a", string(key))
		same(t, what, want, d)
	}
	e := first(t, getMany(t, s.Backend, keys, 1).Entries)
	whole("the entry", e.Key, e.Doc)
	e = first(t, list(t, s.Backend, core.Query{AtLeast: 1}).Entries)
	whole("the listed entry", e.Key, e.Doc)
	for _, logged := range []core.Commit{first(t, logAfter(t, s.Backend, 0, 10)), mustCommit(t, s.Backend, again)} {
		e = first(t, logged.Changes).Entry
		whole("the commit", e.Key, e.Doc)
		same(t, "the commit's attributes", map[string]string{"c": "d"}, logged.Meta.Attrs)
	}
	e = first(t, historyOf(t, s.Backend, "a", 10)).Change.Entry
	whole("the record", e.Key, e.Doc)
}
