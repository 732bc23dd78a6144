package redis

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

// BenchmarkTake is a request of a principal whose tokens this node holds, but for one in so many.
func BenchmarkTake(b *testing.B) {
	r := count(b, services.StartRedis(b).Addr, Options{Limit: 1 << 30})
	b.ReportAllocs()
	for b.Loop() {
		if budget, err := r.limiter.Take(b.Context(), "ann", 1); err != nil || !budget.Allowed {
			b.Fatal(budget, err)
		}
	}
}

// BenchmarkTakeWithoutLease is what each request would cost if each asked Redis.
func BenchmarkTakeWithoutLease(b *testing.B) {
	r := count(b, services.StartRedis(b).Addr, Options{Limit: 1 << 30})
	r.limiter.block = 1
	for b.Loop() {
		if budget, err := r.limiter.Take(b.Context(), "ann", 1); err != nil || !budget.Allowed {
			b.Fatal(budget, err)
		}
	}
}

// BenchmarkTakeParallel is the same of a hundred principals.
func BenchmarkTakeParallel(b *testing.B) {
	r := count(b, services.StartRedis(b).Addr, Options{Limit: 1 << 30})
	names := make([]string, 100)
	for i := range names {
		names[i] = name(string(rune(i)))
	}
	b.RunParallel(func(p *testing.PB) {
		for i := 0; p.Next(); i++ {
			if budget, err := r.limiter.Take(b.Context(), names[i%len(names)], 1); err != nil || !budget.Allowed {
				b.Error(budget, err)
				return
			}
		}
	})
}

// BenchmarkGet reads a value of 200 bytes from where it is.
func BenchmarkGet(b *testing.B) {
	server := services.StartRedis(b)
	node := memory.Open(memory.Options{Shared: true})
	parts := join(b, node, []string{server.Addr}, Options{})
	b.Cleanup(func() { _ = node.Close() })
	e := engine(b, node, core.Options{})
	write(b, e, "k", `"`+string(bytes.Repeat([]byte("v"), 200))+`"`)
	entry := core.Entry{Key: "k", Version: 1, Doc: core.Doc{Value: bytes.Repeat([]byte("v"), 200)}}
	keep(b, parts.cache, "epoch", entry)
	await(b, "the value is in Redis", func() bool { return cachedAt(b, parts.cache, "epoch", "k", 1) != nil })

	b.Run("process", func(b *testing.B) {
		for b.Loop() {
			read(b, e)
		}
	})
	b.Run("redis", func(b *testing.B) {
		for b.Loop() {
			if cachedAt(b, parts.cache, "epoch", "k", 1) == nil {
				b.Fatal("a miss")
			}
		}
	})
	server.Kill(b)
	await(b, "Redis is away", func() bool { return parts.Stats().Away })
	b.Run("away", func(b *testing.B) {
		for b.Loop() {
			if cachedAt(b, parts.cache, "epoch", "k", 1) != nil {
				b.Fatal("a hit")
			}
		}
	})
}

// BenchmarkPropagation is from before a PUT on one node until a watcher on another has it.
func BenchmarkPropagation(b *testing.B) {
	one, two, _ := twoNodes(b, []string{services.StartRedis(b).Addr})
	here, there := engine(b, one, core.Options{}), engine(b, two, core.Options{})
	w := watch(b, there)
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		write(b, here, "k", 1)
		for w.next(b).Kind != core.EventUpdate { //nolint:revive // until it arrives
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkEncode and BenchmarkDecode are of a hint with one change of 200 bytes.
func BenchmarkEncode(b *testing.B) {
	c := commitOf(core.Entry{Key: "app.ui.theme", Version: 1, Revision: 1, Doc: core.Doc{Value: bytes.Repeat([]byte("v"), 200)}})
	for b.Loop() {
		encodeHint(otherNode, &c, hintBytes)
	}
}

func BenchmarkDecode(b *testing.B) {
	c := commitOf(core.Entry{Key: "app.ui.theme", Version: 1, Revision: 1, Doc: core.Doc{Value: bytes.Repeat([]byte("v"), 200)}})
	hint := encodeHint(otherNode, &c, hintBytes)
	for b.Loop() {
		if _, err := decodeHint(hint, thisNode); err != nil {
			b.Fatal(err)
		}
	}
}
