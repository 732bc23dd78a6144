package core

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
)

func TestOrderedItemsStayInOrder(t *testing.T) {
	var o ordered
	held := map[Key]bool{}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		k := Key(fmt.Sprint(r.IntN(4000)))
		if r.IntN(3) == 0 {
			o.remove(k)
			delete(held, k)
		} else {
			o.set(&item{key: k})
			held[k] = true
		}
	}
	var want []Key
	for k := range held {
		want = append(want, k)
	}
	slices.Sort(want)
	var got []Key
	o.ascend("", "", func(it *item) bool { got = append(got, it.key); return true })
	if !slices.Equal(got, want) || o.n != len(want) {
		t.Errorf("got %d items (n %d), want %d", len(got), o.n, len(want))
	}
	from, to := want[100], want[200]
	got = nil
	o.ascend(from, to, func(it *item) bool { got = append(got, it.key); return true })
	if !slices.Equal(got, want[100:200]) {
		t.Errorf("range: got %v, want %v", got, want[100:200])
	}
}

func TestChainsFollowTheRecordsOfNamespaces(t *testing.T) {
	x := newIndex(nil)
	rev := Revision(0)
	record := func(ns string, acl *ACL, deleted bool) {
		rev++
		x.load([]Entry{{
			Key: MakeKey(DefaultEnv, KindNamespace, ns), Doc: Doc{ACL: acl}, Deleted: deleted, Version: int64(rev), Revision: rev, Rules: rev,
		}})
	}
	names := func(name string) []string {
		var out []string
		if c := x.chainOf(DefaultEnv, KindKey, name); c != nil {
			for _, l := range c.Links {
				out = append(out, l.Namespace)
			}
		}
		return out
	}
	acl := &ACL{Read: []string{"bob"}}
	record("a.b.c", acl, false)
	record("a", acl, false)
	record("*", acl, false)
	record("a.b", &ACL{}, false) // says nothing: no link
	check := func(name string, want ...string) {
		t.Helper()
		if got := names(name); !slices.Equal(got, want) {
			t.Errorf("chain of %s: got %v, want %v", name, got, want)
		}
	}
	check("a.b.c.k", "*", "a", "a.b.c")
	check("a.b.k", "*", "a")
	check("a", "*")
	check("ab.k", "*")
	before := x.chainOf(DefaultEnv, KindKey, "a.b.c.k")
	record("a", acl, true)
	check("a.b.c.k", "*", "a.b.c")
	record("a", &ACL{Read: []string{"bob"}}, false)
	if x.chainOf(DefaultEnv, KindKey, "a.b.c.k") != before {
		t.Error("a chain of the same content has another identity")
	}
	record("*", nil, true)
	check("a.b.c.k", "a", "a.b.c")
}

func TestInternedRulesAreLetGo(t *testing.T) {
	for i := range 1000 {
		Intern(&ACL{Read: []string{fmt.Sprint("let go ", i)}})
	}
	deadline := time.Now().Add(2 * time.Minute)
	for {
		runtime.GC()
		allRules.mu.Lock()
		n := len(allRules.byText)
		allRules.mu.Unlock()
		if n < 500 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d rules are held that nobody uses", n)
		}
	}
}

func TestTheValueCacheKeepsItsBound(t *testing.T) {
	v := &values{limit: 100_000}
	var items []*item
	for i := range 1000 {
		it := &item{key: Key(fmt.Sprint(i)), version: 1}
		v.keep(it, &Entry{Key: it.key, Doc: Doc{Value: make([]byte, 1000)}})
		items = append(items, it)
		items[0].used.Store(true) // used all the time
	}
	held := 0
	for _, it := range items {
		if it.entry.Load() != nil {
			held++
		}
	}
	if held > 100 || held < 50 || v.bytes > v.limit {
		t.Errorf("%d values and %d bytes are held, limit %d", held, v.bytes, v.limit)
	}
	if items[0].entry.Load() == nil {
		t.Error("what is used all the time was evicted")
	}
}

func BenchmarkIndexMemory(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	x := newIndex(nil)
	const n = 200_000
	for i := range n {
		x.load([]Entry{{Key: MakeKey(DefaultEnv, KindKey, fmt.Sprintf("team%03d.service%03d.key%06d", i%100, i%1000, i)), Version: 1, Revision: Revision(i + 1)}})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	for b.Loop() {
		x.get(DefaultEnv, KindKey, "team001.service001.key000001")
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/key")
}
