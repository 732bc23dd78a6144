package conformance

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

// benchmarks measure what the Engine does with a backend, on values of 200 bytes.
var benchmarks = []struct {
	name string
	run  func(b *testing.B, s *core.Backend)
}{
	{"commit of 1 op", func(b *testing.B, s *core.Backend) { commits(b, s, 1) }},
	{"commit of 10 ops", func(b *testing.B, s *core.Backend) { commits(b, s, 10) }},
	{"commit of 1 op by 64 writers", func(b *testing.B, s *core.Backend) { commitsAtOnce(b, s, 1) }},
	{"commit of 10 ops by 64 writers", func(b *testing.B, s *core.Backend) { commitsAtOnce(b, s, 10) }},
	{"sync", syncs},
	{"get", gets},
	{"list of 1000", lists1000},
	{"log of 1000", log1000},
}

// Bench measures a backend, each figure on one of its own. With a Bus and Options.Peer it also measures how long a hint
// takes from one node to another.
func Bench(b *testing.B, open Opener, o Options) {
	for _, m := range benchmarks {
		b.Run(m.name, func(b *testing.B) {
			s := newSubject(b, open, o)
			b.ReportAllocs()
			m.run(b, s.origin)
		})
	}
	if (needsBus|needsPeer)&^abilities(b, open, o) == 0 {
		b.Run("hint of a commit", func(b *testing.B) {
			s := newSubject(b, open, o)
			hints(b, s.another(b), s.origin)
		})
	}
}

var benchValue = slices.Repeat([]byte("v"), 200)

func benchTxn(n, i int) core.Txn {
	tx := txn()
	for k := range n {
		key := core.Key("0/k/bench." + strconv.Itoa((i*n+k)%10_000))
		tx.Ops = append(tx.Ops, core.Op{Key: key, Do: core.OpPut, Doc: core.Doc{Value: benchValue}})
	}
	return tx
}

func benchCommit(b *testing.B, s *core.Backend, tx core.Txn) {
	if _, err := s.Store.Commit(context.Background(), tx); err != nil {
		b.Error(err)
	}
}

func commits(b *testing.B, s *core.Backend, n int) {
	for i := 0; b.Loop(); i++ {
		benchCommit(b, s, benchTxn(n, i))
	}
}

func commitsAtOnce(b *testing.B, s *core.Backend, n int) {
	var i atomic.Int64
	b.SetParallelism(32) // on two processors: 64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			benchCommit(b, s, benchTxn(n, int(i.Add(1))))
		}
	})
}

// stock puts a thousand keys into the store, each in a commit of its own.
func stock(b *testing.B, s *core.Backend) {
	for i := range 1000 {
		tx := txn(core.Op{Key: core.Key(fmt.Sprintf("0/k/stock.%04d", i)), Do: core.OpPut, Doc: core.Doc{Value: benchValue}})
		benchCommit(b, s, tx)
	}
}

func syncs(b *testing.B, s *core.Backend) {
	stock(b, s)
	for b.Loop() {
		if _, err := s.Store.Sync(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func gets(b *testing.B, s *core.Backend) {
	stock(b, s)
	keys := []core.Key{"0/k/stock.0500"}
	for b.Loop() {
		if p, err := s.Store.Get(b.Context(), keys, 0); err != nil || len(p.Entries) != 1 {
			b.Fatal(len(p.Entries), err)
		}
	}
}

func lists1000(b *testing.B, s *core.Backend) {
	stock(b, s)
	for b.Loop() {
		if p, err := s.Store.List(b.Context(), core.Query{Limit: 1000}); err != nil || len(p.Entries) != 1000 {
			b.Fatal(len(p.Entries), err)
		}
	}
}

func log1000(b *testing.B, s *core.Backend) {
	stock(b, s)
	for b.Loop() {
		after := core.Revision(0)
		for after < 1000 {
			log, err := s.Store.Log(b.Context(), after, 0)
			if err != nil || len(log) == 0 {
				b.Fatal(len(log), err)
			}
			after += core.Revision(len(log))
		}
	}
}

// hints measures from the call of Commit on one node to the arrival of the hint at another.
func hints(b *testing.B, from, to *core.Backend) {
	heard := listen(b.Context(), b, to)
	for i := 0; b.Loop(); i++ {
		c, err := from.Store.Commit(b.Context(), benchTxn(1, i))
		if err != nil {
			b.Fatal(err)
		}
		if err := from.Bus.Announce(b.Context(), c); err != nil {
			b.Fatal(err)
		}
		for h := range heard {
			if h.Head == 0 || h.Head >= c.Revision {
				break
			}
		}
	}
}
