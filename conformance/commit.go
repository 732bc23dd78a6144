package conformance

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

var commitPromises = []promise{
	{name: "the first revision is one", test: firstRevision},
	{name: "revisions are dense under 8 writers on two nodes", test: denseRevisions},
	{name: "64 unconditional writers of one key all succeed", test: unconditionalWriters},
	{name: "a commit says what each key became and what it was", test: commitSays},
	{name: "an op that finds nothing to do leaves no change", test: nothingToDo},
	{name: "the version continues after delete and re-create", test: versionContinues},
	{name: "a purged key begins anew", test: purgeBeginsAnew},
	{name: "an op that names a version gives it to the entry", test: versionNamed},
	{name: "a tombstone keeps the ACL and no value", test: tombstoneKeeps},
	{name: "a document comes back as it was put", test: documentAsPut},
	{name: "an entry past its expiry stays until somebody deletes it", test: storeDoesNotExpire},
	{name: "time never goes back and is UTC in microseconds", test: timeNeverGoesBack},
	{name: "arguments are not kept and results belong to the caller", test: argumentsNotKept},
}

func firstRevision(t testing.TB, s *subject) {
	if st := status(t, s.Backend); st.Head != 0 || st.Floor != 0 {
		t.Errorf("an empty store has head %d and floor %d, want 0 and 0", st.Head, st.Floor)
	}
	if p := list(t, s.Backend, core.Query{Deleted: true}); len(p.Entries) != 0 || p.Revision != 0 {
		t.Errorf("an empty store lists %d entries at revision %d, want none at 0", len(p.Entries), p.Revision)
	}
	if log := logAfter(t, s.Backend, 0, 10); len(log) != 0 {
		t.Errorf("an empty store has %d commits", len(log))
	}
	if c := commit(t, s.Backend, put("a", "1")); c.Revision != 1 {
		t.Errorf("the first commit is revision %d, want 1", c.Revision)
	}
}

func denseRevisions(t testing.TB, s *subject) {
	const writers, each = 8, 25
	nodes := []*core.Backend{s.Backend, s.peer(t)}
	revisions := make([][]core.Revision, writers)
	together(t, writers, func(i int) error {
		for n := range each {
			c, err := persist(t.Context(), nodes[i%2], txn(put(core.Key(fmt.Sprintf("w%d/%d", i, n)), "1")))
			if err != nil {
				return err
			}
			revisions[i] = append(revisions[i], c.Revision)
		}
		return nil
	})
	all := slices.Concat(revisions...)
	for i, own := range revisions {
		if !slices.IsSorted(own) {
			t.Errorf("writer %d saw its commits at %v, which is not in order", i, own)
		}
	}
	slices.Sort(all)
	for i, r := range all {
		if r != core.Revision(i+1) {
			t.Fatalf("commit %d of %d has revision %d", i+1, len(all), r)
		}
	}
	if n := len(logAfter(t, s.Backend, 0, 7)); n != writers*each {
		t.Errorf("the log holds %d commits, want %d", n, writers*each)
	}
}

func unconditionalWriters(t testing.TB, s *subject) {
	const writers = 64
	nodes := []*core.Backend{s.Backend, s.peer(t)}
	versions := make([]int64, writers)
	together(t, writers, func(i int) error {
		c, err := persist(t.Context(), nodes[i%2], txn(put("contested", fmt.Sprint(i))))
		for _, ch := range c.Changes {
			versions[i] = ch.Entry.Version
		}
		return err
	})
	slices.Sort(versions)
	for i, v := range versions {
		if v != int64(i+1) {
			t.Fatalf("the writers were told versions %v, want each of 1 to %d once", versions, writers)
		}
	}
}

func commitSays(t testing.TB, s *subject) {
	acl := &core.ACL{Read: []string{"ann"}}
	commit(t, s.Backend, core.Op{Key: "kept", Do: core.OpPut, Doc: core.Doc{Value: []byte("1"), ACL: acl}}, put("other", "1"))
	commit(t, s.Backend, del("other"))
	tx := txn(put("new", "2"), core.Op{Key: "kept", Do: core.OpDelete, Doc: core.Doc{Attrs: map[string]string{"why": "ttl"}}}, put("other", "2"))
	tx.Meta.Note, tx.Meta.Attrs = "a note", map[string]string{"request": "r1"}
	got := mustCommit(t, s.Backend, tx)
	entry := func(key core.Key, version int64, doc core.Doc, deleted bool) core.Entry {
		return core.Entry{Key: key, Doc: doc, Deleted: deleted, Version: version, Revision: 3, Rules: 3, Modified: got.Meta.Time, Author: "tester"}
	}
	want := core.Commit{Revision: 3, Meta: tx.Meta, Changes: []core.Change{
		{Do: core.OpDelete, Entry: entry("kept", 2, core.Doc{ACL: acl, Attrs: map[string]string{"why": "ttl"}}, true), Was: core.Was{Exists: true, ACL: acl}},
		{Do: core.OpPut, Entry: entry("new", 1, core.Doc{Value: []byte("2")}, false)},
		{Do: core.OpPut, Entry: entry("other", 3, core.Doc{Value: []byte("2")}, false), Was: core.Was{Exists: true, Deleted: true}},
	}}
	want.Meta.Time = got.Meta.Time // the store may raise it
	same(t, "the commit as it was answered", want, got)
	if log := logAfter(t, s.peer(t), 2, 10); len(log) == 1 {
		same(t, "the commit in the log", want, log[0])
	} else {
		t.Errorf("the log holds %d commits after 2, want 1", len(log))
	}
	for i, e := range getMany(t, s.Backend, []core.Key{"kept", "new", "other"}, 3).Entries {
		same(t, "the entry that it left", want.Changes[i].Entry, e)
	}
}

func nothingToDo(t testing.TB, s *subject) {
	for i, ops := range [][]core.Op{{del("a")}, {purge("a")}, {}, {put("a", "1")}, {del("a")}, {del("a")}} {
		c := commit(t, s.Backend, ops...)
		if want := i == 3 || i == 4; (len(c.Changes) > 0) != want || c.Revision != core.Revision(i+1) {
			t.Errorf("commit %d (%+v) has revision %d and changes %+v", i+1, ops, c.Revision, c.Changes)
		}
	}
	if n := len(logAfter(t, s.Backend, 0, 10)); n != 6 {
		t.Errorf("the log holds %d commits, want 6", n)
	}
	if e := get(t, s.Backend, "a", 0); e == nil || e.Version != 2 {
		t.Errorf("deleting a tombstone left %+v, want version 2", e)
	}
}

func versionContinues(t testing.TB, s *subject) {
	for i, op := range []core.Op{put("a", "1"), del("a"), put("a", "2"), put("a", "2"), del("a"), put("a", "3")} {
		c := commit(t, s.Backend, op)
		if v := first(t, c.Changes).Entry.Version; v != int64(i+1) {
			t.Errorf("change %d made version %d", i+1, v)
		}
		if e := get(t, s.Backend, "a", c.Revision); e == nil || e.Version != int64(i+1) || e.Deleted != (op.Do == core.OpDelete) {
			t.Errorf("after change %d the entry is %+v", i+1, e)
		}
	}
}

func purgeBeginsAnew(t testing.TB, s *subject) {
	commit(t, s.Backend, put("a", "1"))
	commit(t, s.Backend, del("a"))
	c := commit(t, s.Backend, purge("a"))
	if ch := first(t, c.Changes); ch.Do != core.OpPurge || !ch.Entry.Deleted || ch.Entry.Version != 3 {
		t.Errorf("the purge is logged as %+v, want a tombstone of version 3", ch)
	}
	if e := get(t, s.Backend, "a", 3); e != nil {
		t.Errorf("after the purge there is %+v", e)
	}
	if p := list(t, s.Backend, core.Query{Deleted: true, AtLeast: 3}); len(p.Entries) != 0 {
		t.Errorf("after the purge there is %+v", p.Entries)
	}
	if v := first(t, commit(t, s.Backend, put("a", "2")).Changes).Entry.Version; v != 1 {
		t.Errorf("the next version is %d, want 1", v)
	}
}

func versionNamed(t testing.TB, s *subject) {
	acl := &core.ACL{Read: []string{"ann"}}
	at := func(op core.Op, v int64) core.Op {
		op.Version, op.Doc.ACL = v, acl
		return op
	}
	commits := []core.Commit{
		commit(t, s.Backend, at(put("a", "1"), 7), at(del("gone"), 3), at(put("left", "1"), 1)),
		commit(t, s.Backend, at(put("a", "2"), 8), put("gone", "1")),
		commit(t, s.Backend, put("a", "3"), at(del("left"), 5)),
		commit(t, s.Backend, at(del("a"), 20)),
	}
	for i, want := range [][]int64{{7, 3, 1}, {8, 4}, {9, 5}, {20}} {
		var got []int64
		for _, ch := range commits[i].Changes {
			got = append(got, ch.Entry.Version)
		}
		if !slices.Equal(got, want) {
			t.Errorf("commit %d made versions %v, want %v", i+1, got, want)
		}
	}
	for _, v := range []int64{20, 19, -1} {
		if _, err := persist(t.Context(), s.Backend, txn(put("other", "1"), at(put("a", "4"), v))); !errors.Is(err, core.ErrInvalid) {
			t.Errorf("version %d for an entry at 20 is answered with %v, want ErrInvalid", v, err)
		}
	}
	if c := commit(t, s.Backend, put("a", "4")); c.Revision != 5 || first(t, c.Changes).Entry.Version != 21 {
		t.Errorf("the next commit is %+v, want version 21 at revision 5", c)
	}
	same(t, "the log", commits, logAfter(t, s.peer(t), 0, 10)[:4])
	for _, key := range []core.Key{"a", "gone", "left"} {
		h := historyOf(t, s.Backend, key, 10)
		if key == "a" && len(h) > 0 {
			h = h[1:]
		}
		same(t, fmt.Sprintf("the history of %q", key), recordsOf(key, commits), h)
	}
	if e := get(t, s.Backend, "left", 5); e == nil || !e.Deleted || e.Version != 5 || !e.Doc.ACL.Equal(acl) {
		t.Errorf("the tombstone of version 5 is %+v", e)
	}
}

func tombstoneKeeps(t testing.TB, s *subject) {
	acl := &core.ACL{Read: []string{"ann"}, Write: []string{}}
	commit(t, s.Backend, core.Op{Key: "a", Do: core.OpPut, Doc: core.Doc{Value: []byte("1"), ACL: acl, TTL: time.Minute, Attrs: map[string]string{"x": "y"}}})
	c := commit(t, s.Backend, core.Op{Key: "a", Do: core.OpDelete, Doc: core.Doc{Attrs: map[string]string{"why": "ttl"}}})
	want := core.Entry{
		Key: "a", Doc: core.Doc{ACL: acl, Attrs: map[string]string{"why": "ttl"}}, Deleted: true,
		Version: 2, Revision: 2, Rules: 2, Modified: c.Meta.Time, Author: "tester",
	}
	same(t, "the tombstone", &want, get(t, s.Backend, "a", 2))
}

func documentAsPut(t testing.TB, s *subject) {
	var every []byte
	for i := range 256 {
		every = append(every, byte(i))
	}
	docs := []core.Doc{
		{Value: []byte(`{"b":1, "a":1e400,"a":2,"s":"\u0000 é"}`)},
		{Value: every},
		{Value: []byte("1"), ACL: &core.ACL{Read: []string{}, Write: nil, Admin: []string{"z", "a", "z", "svc:*", "*", "é"}}},
		{Value: []byte("1"), ACL: &core.ACL{Read: nil, Write: []string{}, Admin: []string{}}},
		{Value: []byte("1"), TTL: 90 * time.Second, Expires: now().Add(90 * time.Second)},
		{Value: []byte("1"), TTL: core.MaxTTL, Expires: now().Add(core.MaxTTL)},
		{Value: []byte("1"), Attrs: map[string]string{"": "empty", "é\x00": "\xff"}},
	}
	for i, doc := range docs {
		key := core.Key(fmt.Sprintf("doc/%d", i))
		c := commit(t, s.Backend, core.Op{Key: key, Do: core.OpPut, Doc: doc})
		same(t, "the document as answered", doc, first(t, c.Changes).Entry.Doc)
		e := get(t, s.Backend, key, c.Revision)
		if e == nil {
			t.Fatalf("%q is not there", key)
		}
		same(t, "the document as read", doc, e.Doc)
		same(t, "the document in the log", doc, first(t, first(t, logAfter(t, s.Backend, c.Revision-1, 10)).Changes).Entry.Doc)
		same(t, "the document in the history", doc, first(t, historyOf(t, s.Backend, key, 10)).Change.Entry.Doc)
	}
}

func storeDoesNotExpire(t testing.TB, s *subject) {
	past := now().Add(-time.Hour)
	commit(t, s.Backend, core.Op{Key: "a", Do: core.OpPut, Doc: core.Doc{Value: []byte("1"), TTL: time.Second, Expires: past}})
	if e := get(t, s.Backend, "a", 1); e == nil || e.Deleted || string(e.Doc.Value) != "1" || !e.Doc.Expires.Equal(past) {
		t.Errorf("the expired entry is %+v", e)
	}
	if p := list(t, s.Backend, core.Query{AtLeast: 1}); len(p.Entries) != 1 {
		t.Errorf("the expired entry is not listed")
	}
	if st := status(t, s.Backend); st.Head != 1 {
		t.Errorf("somebody committed: the head is %d, want 1", st.Head)
	}
}
