package core_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/dynconfig/dynconfig/core"
)

// shelf writes keys in two namespaces, of which "ann" may read every third.
func shelf(t *testing.T, n int) (w *world, readable []string) {
	t.Helper()
	w = start(t, core.Options{})
	var writes []core.Write
	for i := range n {
		p := put(fmt.Sprintf("app.%s.k%04d", []string{"a", "b"}[i%2], i), "1")
		p.ACL, p.SetACL = &core.ACL{Read: []string{"bob"}}, true
		if i%3 == 0 {
			p.ACL.Read = []string{"ann"}
			readable = append(readable, p.Name)
		}
		writes = append(writes, p)
	}
	for batch := range slices.Chunk(writes, core.MinOps) {
		w.write(t, "root", batch...)
	}
	slices.Sort(readable)
	return w, readable
}

func TestPagesOfAListAreTheListAndEachHasTheTotalOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, readable := shelf(t, 2500) // more than one step of a scan
		for _, limit := range []int{1, 7, 100, len(readable), 1000} {
			var names []string
			for after := ""; ; {
				l, err := w.List(t.Context(), as("ann"), core.Filter{Kind: core.KindKey, Limit: limit, After: after})
				if err != nil {
					t.Fatal(err)
				}
				if l.Total != len(readable) || l.LowerBound || len(l.Names) > limit {
					t.Fatalf("limit %d after %q: got %d names of %d (at least: %v), want %d", limit, after, len(l.Names), l.Total, l.LowerBound, len(readable))
				}
				names = append(names, l.Names...)
				if after = l.Next; after == "" || limit == 1 && len(names) == 20 {
					break
				}
			}
			if !slices.Equal(names, readable[:len(names)]) || limit > 1 && len(names) != len(readable) {
				t.Errorf("limit %d: got %d names, want %d in order", limit, len(names), len(readable))
			}
		}
	})
}

func TestTotalOfANamespaceDoesNotDependOnWhereThePageBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, readable := shelf(t, 300)
		inA := len(readable) / 2
		for after, left := range map[string]int{"": inA, "a": inA, "app.a.k0148": inA - 25, "app.b": 0, "zzz": 0} {
			l, err := w.List(t.Context(), as("ann"), core.Filter{Kind: core.KindKey, Namespace: "app.a", Limit: 1000, After: after})
			if err != nil || l.Total != inA || len(l.Names) != left || l.Next != "" {
				t.Errorf("after %q: got %d names of %d, next %q, %v, want %d of %d", after, len(l.Names), l.Total, l.Next, err, left, inA)
			}
		}
	})
}
