package conformance

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

var readPromises = []promise{
	{name: "a write is read through a peer", test: writeIsReadThroughPeer},
	{name: "sync is linearizable through a peer", test: syncIsLinearizable},
	{name: "get returns the keys that there are, in order, tombstones included", test: getReturnsKeys},
	{name: "get takes as many keys as it says, however large", test: getTakesMany},
	{name: "a page never shows less than was asked for", test: pageNotBehind},
	{name: "keys are opaque bytes in byte order", test: keysAreBytes},
}

func writeIsReadThroughPeer(t testing.TB, s *subject) {
	nodes := []*core.Backend{s.Backend, s.peer(t)}
	for i := range 50 {
		writer, reader := nodes[i%2], nodes[(i+1)%2]
		value := fmt.Sprint(i)
		r := commit(t, writer, put("a", value)).Revision
		for _, b := range []*core.Backend{reader, writer} {
			if e := get(t, b, "a", r); e == nil || string(e.Doc.Value) != value {
				t.Fatalf("get at %d after writing %s is %+v", r, value, e)
			}
			if p := list(t, b, core.Query{AtLeast: r}); len(p.Entries) != 1 || string(p.Entries[0].Doc.Value) != value {
				t.Fatalf("list at %d after writing %s is %+v", r, value, p.Entries)
			}
		}
		// What the peer showed, its log holds.
		if log := logAfter(t, reader, r-1, 10); len(log) != 1 || string(first(t, log[0].Changes).Entry.Doc.Value) != value {
			t.Fatalf("the peer's log after %d is %+v", r-1, log)
		}
		if h := historyOf(t, reader, "a", 100); len(h) != i+1 {
			t.Fatalf("the peer's history has %d records after %d changes", len(h), i+1)
		}
	}
}

func syncIsLinearizable(t testing.TB, s *subject) {
	nodes := []*core.Backend{s.Backend, s.peer(t)}
	together(t, 4, func(i int) error {
		for n := range 25 {
			c, err := persist(t.Context(), nodes[i%2], txn(put(core.Key(fmt.Sprint(i)), fmt.Sprint(n))))
			if err != nil {
				return err
			}
			b := nodes[(i+n)%2]
			r, err := b.Store.Sync(t.Context())
			if err != nil {
				return err
			}
			if r < c.Revision {
				return fmt.Errorf("Sync is at %d after commit %d was acknowledged", r, c.Revision)
			}
			p, err := b.Store.Get(t.Context(), []core.Key{core.Key(fmt.Sprint(i))}, r)
			if err != nil {
				return err
			}
			if p.Revision < r || len(p.Entries) != 1 || string(p.Entries[0].Doc.Value) != fmt.Sprint(n) {
				return fmt.Errorf("at the revision of Sync, %d, the page at %d shows %+v, want value %d", r, p.Revision, p.Entries, n)
			}
		}
		return nil
	})
	if r, err := s.Store.Sync(t.Context()); err != nil || r != 100 {
		t.Errorf("Sync with nobody writing is (%d, %v), want 100", r, err)
	}
}

func getReturnsKeys(t testing.TB, s *subject) {
	commit(t, s.Backend, put("b", "1"), put("a", "1"), put("d", "1"), put("z", "1"))
	commit(t, s.Backend, del("d"))
	p := getMany(t, s.Backend, []core.Key{"d", "none", "b", "a", "c"}, 2)
	var got []string
	for _, e := range p.Entries {
		got = append(got, fmt.Sprintf("%s %v", e.Key, e.Deleted))
	}
	if want := []string{"a false", "b false", "d true"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if p.Revision != 2 || p.More {
		t.Errorf("the page is at %d with More %v, want 2 and no more", p.Revision, p.More)
	}
	if p := getMany(t, s.Backend, nil, 0); len(p.Entries) != 0 || p.Revision != 2 {
		t.Errorf("without keys the page is at %d with %+v", p.Revision, p.Entries)
	}
}

func getTakesMany(t testing.TB, s *subject) {
	var keys []core.Key
	for i := range core.MaxGet {
		keys = append(keys, core.Key(fmt.Sprintf("many/%04d", i)))
	}
	for part := range slices.Chunk(keys, core.MinOps) {
		var ops []core.Op
		for _, k := range part {
			ops = append(ops, put(k, string(k)))
		}
		commit(t, s.Backend, ops...)
	}
	p := getMany(t, s.Backend, keys, 0)
	if len(p.Entries) != len(keys) {
		t.Fatalf("%d keys were asked for, %d came", len(keys), len(p.Entries))
	}
	large := bytes.Repeat([]byte("x"), core.MaxValue)
	for _, k := range keys[:6] {
		commit(t, s.Backend, core.Op{Key: k, Do: core.OpPut, Doc: core.Doc{Value: large}})
	}
	for i, e := range getMany(t, s.Backend, keys[:7], 0).Entries {
		if want := i < 6; e.Key != keys[i] || bytes.Equal(e.Doc.Value, large) != want {
			t.Errorf("entry %d is %q with %d bytes", i, e.Key, len(e.Doc.Value))
		}
	}
}

func pageNotBehind(t testing.TB, s *subject) {
	commit(t, s.Backend, put("a", "1"))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if p, err := s.Store.Get(ctx, []core.Key{"a"}, 2); err == nil {
		t.Errorf("Get of at least revision 2 is answered with %d", p.Revision)
	} else {
		ours(t, "Get", err)
	}
	if p, err := s.Store.List(ctx, core.Query{AtLeast: 2}); err == nil {
		t.Errorf("List of at least revision 2 is answered with %d", p.Revision)
	} else {
		ours(t, "List", err)
	}
}

func keysAreBytes(t testing.TB, s *subject) {
	keys := []core.Key{
		"\x00", "\x00\x00", "\x01", " ", "!", "%", "*", ".", "/", "0", "A", "B", "Z", "[", "\\", "_", "a", "a\x00", "a ", "a b", "a%", "a-", "a.",
		"a/", "a0", "aA", "a_", "aa", "b", "z", "\x7f", "\x80", "\xc3", "é", "e\u0301", "\xff", "\xff\xff",
	}
	slices.Sort(keys)
	for i := len(keys) - 1; i >= 0; i-- {
		commit(t, s.Backend, put(keys[i], string(keys[i])))
	}
	for _, limit := range []int{0, 1, 3} {
		entries, _ := listAll(t, s.peer(t), core.Query{Limit: limit, AtLeast: core.Revision(len(keys))})
		for i, e := range entries {
			if e.Key != keys[i] || string(e.Doc.Value) != string(keys[i]) {
				t.Fatalf("entry %d of the list is %q with value %q, want %q", i, e.Key, e.Doc.Value, keys[i])
			}
		}
		if len(entries) != len(keys) {
			t.Errorf("%d keys are listed, want %d", len(entries), len(keys))
		}
	}
	for i, e := range getMany(t, s.Backend, keys, 0).Entries {
		if e.Key != keys[i] || string(e.Doc.Value) != string(keys[i]) {
			t.Errorf("entry %d is %q with value %q, want %q", i, e.Key, e.Doc.Value, keys[i])
		}
	}
	for _, k := range keys {
		if h := historyOf(t, s.Backend, k, 10); len(h) != 1 || h[0].Change.Entry.Key != k {
			t.Errorf("the history of %q is %+v", k, h)
		}
	}
}
