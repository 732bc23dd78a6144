package conformance

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

var listPromises = []promise{
	{name: "a prefix is literal", test: prefixIsLiteral},
	{name: "a range is half open", test: rangeIsHalfOpen},
	{name: "pages skip nothing and repeat nothing", test: pagesSkipNothing},
	{name: "a page is about 4 MiB and holds at least one entry", test: pageSize},
	{name: "a list leaves out values and tombstones when asked to", test: listLeavesOut},
	{name: "tombstones do not end a list", test: tombstonesDoNotEndList},
}

func prefixIsLiteral(t testing.TB, s *subject) {
	var keys []core.Key
	for _, c := range []string{"%", "_", "*", ">", ".", "[", "]", `\`, "'", `"`, "?", "^", "$", "(", "|", "+", "{", "#", ";", "é", "x", "X", " ", "\x00", "\xff"} {
		for _, shape := range []string{"p%s", "p%sq", "p%s/q", "p%s%%", "p/%s", "%[1]s%[1]s"} {
			keys = append(keys, core.Key(fmt.Sprintf(shape, c)))
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	for part := range slices.Chunk(keys, core.MinOps) {
		var ops []core.Op
		for _, k := range part {
			ops = append(ops, put(k, "1"))
		}
		commit(t, s.Backend, ops...)
	}
	for _, prefix := range keys {
		var want, got []core.Key
		for _, k := range keys {
			if strings.HasPrefix(string(k), string(prefix)) {
				want = append(want, k)
			}
		}
		entries, _ := listAll(t, s.Backend, core.Query{From: prefix, To: after(prefix)})
		for _, e := range entries {
			got = append(got, e.Key)
		}
		if !slices.Equal(got, want) {
			t.Errorf("below the prefix %q are %q, want %q", prefix, got, want)
		}
	}
}

// after returns the first key that does not begin with prefix, "" if there is none.
func after(prefix core.Key) core.Key {
	for last := len(prefix) - 1; last >= 0; last-- {
		if prefix[last] < 0xff {
			return prefix[:last] + core.Key([]byte{prefix[last] + 1})
		}
	}
	return ""
}

func rangeIsHalfOpen(t testing.TB, s *subject) {
	commit(t, s.Backend, put("a", "1"), put("b", "1"), put("b\x00", "1"), put("c", "1"), put("d", "1"))
	for _, c := range []struct {
		from, to core.Key
		want     string
	}{
		{"", "", "a b b\x00 c d"},
		{"b", "d", "b b\x00 c"},
		{"b", "", "b b\x00 c d"},
		{"", "b", "a"},
		{"b", "b", ""},
		{"b", "b\x00", "b"},
		{"b\x00", "c", "b\x00"},
		{"d", "b", ""},
		{"aa", "bb", "b b\x00"},
		{"e", "", ""},
	} {
		p := list(t, s.Backend, core.Query{From: c.from, To: c.to})
		var got []string
		for _, e := range p.Entries {
			got = append(got, string(e.Key))
		}
		if strings.Join(got, " ") != c.want || p.More {
			t.Errorf("from %q to %q are %q (more: %v), want %q", c.from, c.to, got, p.More, c.want)
		}
	}
}

func pagesSkipNothing(t testing.TB, s *subject) {
	const n = 60
	var ops []core.Op
	for i := range n {
		ops = append(ops, put(core.Key(fmt.Sprintf("k%03d", i)), "1"))
	}
	for part := range slices.Chunk(ops, core.MinOps) {
		commit(t, s.Backend, part...)
	}
	for _, limit := range []int{0, 1, 2, 7, n - 1, n, n + 1} {
		entries, pages := listAll(t, s.Backend, core.Query{Limit: limit})
		if len(entries) != n {
			t.Errorf("in pages of %d are %d entries, want %d", limit, len(entries), n)
		}
		for i, e := range entries {
			if e.Key != ops[i].Key {
				t.Fatalf("in pages of %d entry %d is %q, want %q", limit, i, e.Key, ops[i].Key)
			}
		}
		want := 1
		if limit > 0 {
			want = (n + limit - 1) / limit
		}
		if pages != want {
			t.Errorf("%d entries came in %d pages of %d, want %d", n, pages, limit, want)
		}
	}
}

func pageSize(t testing.TB, s *subject) {
	large := bytes.Repeat([]byte("v"), core.MaxValue)
	for i := range 9 {
		commit(t, s.Backend, core.Op{Key: core.Key(fmt.Sprint(i)), Do: core.OpPut, Doc: core.Doc{Value: large}})
	}
	entries, pages := listAll(t, s.Backend, core.Query{})
	if len(entries) != 9 || pages < 2 || pages > 9 {
		t.Errorf("9 entries of 1 MiB came as %d in %d pages, want pages of about 4 MiB", len(entries), pages)
	}
	for _, e := range entries {
		if !bytes.Equal(e.Doc.Value, large) {
			t.Errorf("%q has another value than was put", e.Key)
		}
	}
	if _, pages := listAll(t, s.Backend, core.Query{NoValue: true}); pages != 1 {
		t.Errorf("9 entries without their values came in %d pages", pages)
	}
}

func listLeavesOut(t testing.TB, s *subject) {
	acl := &core.ACL{Read: []string{"ann"}}
	doc := core.Doc{Value: []byte("1"), ACL: acl, TTL: 60e9, Expires: now(), Attrs: map[string]string{"a": "b"}}
	c := commit(t, s.Backend, core.Op{Key: "a", Do: core.OpPut, Doc: doc}, put("b", "1"), put("c", "1"))
	commit(t, s.Backend, del("b"))
	bare := first(t, c.Changes).Entry
	bare.Doc.Value = nil
	p := list(t, s.Backend, core.Query{NoValue: true, Limit: 1, AtLeast: 2})
	same(t, "an entry without its value", []core.Entry{bare}, p.Entries)
	for _, q := range []core.Query{{}, {Deleted: true}, {NoValue: true, Deleted: true}} {
		var got []string
		for _, e := range list(t, s.Backend, q).Entries {
			got = append(got, fmt.Sprintf("%s %v %v", e.Key, e.Deleted, len(e.Doc.Value) > 0))
		}
		want := []string{fmt.Sprint("a false ", !q.NoValue), fmt.Sprint("c false ", !q.NoValue)}
		if q.Deleted {
			want = slices.Insert(want, 1, "b true false")
		}
		if !slices.Equal(got, want) {
			t.Errorf("List(%+v) gives %v, want %v", q, got, want)
		}
	}
}

func tombstonesDoNotEndList(t testing.TB, s *subject) {
	const n = 300
	for round := range 2 {
		for from := 0; from < n; from += core.MinOps {
			var ops []core.Op
			for i := range core.MinOps {
				op := put(core.Key(fmt.Sprintf("k%04d", from+i)), "1")
				if round == 1 {
					op = del(op.Key)
				}
				ops = append(ops, op)
			}
			commit(t, s.Backend, ops...)
		}
	}
	commit(t, s.Backend, put("k0150", "alive"), put("z", "alive"))
	for _, limit := range []int{0, 1, 10} {
		entries, _ := listAll(t, s.Backend, core.Query{Limit: limit})
		if len(entries) != 2 || entries[0].Key != "k0150" || entries[1].Key != "z" {
			t.Errorf("in pages of %d, two live keys among tombstones are listed as %+v", limit, entries)
		}
	}
}
