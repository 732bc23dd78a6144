package policy

import (
	"context"
	"fmt"
	"testing"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/core"
)

const listed = 100_000

// library is an engine over listed keys in 400 namespaces, which have records, as every fourth key has an ACL of its own: 300
// unlike ones in all. Of a hundred keys "ann" may read one, "reader" every one.
func library(b *testing.B, a core.Authorizer) *core.Engine {
	b.Helper()
	backend := memory.Open(memory.Options{})
	var ops []core.Op
	entry := func(kind core.Kind, name string, acl *core.ACL) {
		ops = append(ops, core.Op{Key: core.MakeKey(core.DefaultEnv, kind, name), Do: core.OpPut, Doc: core.Doc{Value: []byte("1"), ACL: acl}})
	}
	for n := range 400 {
		readers := []string{"reader", fmt.Sprintf("team%d:*", n%200)}
		if n%100 == 0 {
			readers = append(readers, "ann")
		}
		entry(core.KindNamespace, fmt.Sprintf("app%d.part%d", n/20, n%20), &core.ACL{Read: readers, Write: []string{"deploy"}})
	}
	for i := range listed {
		var acl *core.ACL
		if i%4 == 0 {
			acl = &core.ACL{Write: []string{"deploy", fmt.Sprintf("owner%d", i/4%100)}}
		}
		n := i % 400
		entry(core.KindKey, fmt.Sprintf("app%d.part%d.some.key-%d", n/20, n%20, i), acl)
	}
	for len(ops) > 0 {
		n := min(len(ops), backend.Limits.MaxOps)
		if _, err := backend.Store.Commit(b.Context(), core.Txn{Meta: core.Meta{ID: fmt.Sprint(len(ops))}, Ops: ops[:n]}); err != nil {
			b.Fatal(err)
		}
		ops = ops[n:]
	}
	e, err := core.Open(b.Context(), backend, core.Options{Authorizer: a})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = e.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-done; _ = backend.Close() })
	return e
}

// BenchmarkList is how fast keys are filtered for one page and its total, for which all are looked at; with the decisions
// recorded, too.
func BenchmarkList(b *testing.B) {
	recorded := record(b, Set{}, RecordOptions{}).Authorizer
	for name, e := range map[string]*core.Engine{"unrecorded": library(b, open(b, Set{})), "recorded": library(b, recorded)} {
		for who, total := range map[string]int{"ann": listed / 100, "nobody": 0} {
			b.Run(who+"/"+name, func(b *testing.B) {
				c := core.Caller{Subject: &core.Subject{Username: who}, Environment: "default", RequestID: "r"}
				b.ReportAllocs()
				for b.Loop() {
					l, err := e.List(b.Context(), c, core.Filter{Kind: core.KindKey})
					if err != nil || l.Total != total || l.LowerBound {
						b.Fatalf("got %d keys (more: %v), %v, want %d", l.Total, l.LowerBound, err, total)
					}
				}
				b.ReportMetric(float64(listed)*float64(b.N)/b.Elapsed().Seconds(), "keys/s")
			})
		}
	}
}
