package core_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

// allowAll is the cheapest policy, so that a benchmark shows the engine alone.
type allowAll struct{}

func (allowAll) Authorize(context.Context, *core.Subject, core.Access) (core.Decision, error) {
	return core.Decision{Allow: true}, nil
}
func (allowAll) Generation() uint64 { return 0 }

func BenchmarkGet(b *testing.B) {
	w := start(b, core.Options{Authorizer: allowAll{}})
	w.write(b, "root", put("app.feature.enabled", `"true"`))
	c, r := as("root"), core.Read{Kind: core.KindKey, Name: "app.feature.enabled"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Get(b.Context(), c, r); err != nil {
			b.Fatal(err)
		}
	}
}

func TestAReadOfWhatIsCachedAllocatesNothing(t *testing.T) {
	w := start(t, core.Options{Authorizer: allowAll{}})
	w.write(t, "root", put("k", "1"))
	c, r := as("root"), core.Read{Kind: core.KindKey, Name: "k"}
	if n := testing.AllocsPerRun(10_000, func() { _, _ = w.Get(w.ctx, c, r) }); n > 0 {
		t.Errorf("it allocates %v times", n)
	}
}

func BenchmarkPut(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			w := start(b, core.Options{Authorizer: allowAll{}})
			var n atomic.Int64
			b.ReportAllocs()
			b.SetParallelism(max(1, writers/2))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					p := put(fmt.Sprintf("app.k%d", n.Add(1)%1000), `"true"`)
					if _, err := w.Write(b.Context(), as("root"), core.Request{Writes: []core.Write{p}}); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// The cost of a commit must grow with its interested watchers, not with all.
func BenchmarkCommitWithOneOfManyInterested(b *testing.B) {
	for _, watchers := range []int{1, 10_000} {
		b.Run(fmt.Sprint(watchers), func(b *testing.B) {
			w := start(b, core.Options{Authorizer: allowAll{}})
			for i := range watchers {
				s := w.stream(b, "root")
				s.w.Subscribe(sub(fmt.Sprintf("app.k%d.*", i)))
				s.expect("subscribed")
			}
			s := w.stream(b, "root")
			s.w.Subscribe(sub("app.k0.x"))
			s.expect("subscribed")
			b.ReportAllocs()
			for b.Loop() {
				w.write(b, "root", put("app.k0.x", "1"))
				s.next()
			}
		})
	}
}

func BenchmarkDelivery(b *testing.B) {
	for _, watchers := range []int{1000, 9000} {
		b.Run(fmt.Sprint(watchers), func(b *testing.B) {
			w := start(b, core.Options{Authorizer: allowAll{}})
			var streams []*stream
			for range watchers {
				s := w.stream(b, "root")
				s.w.Subscribe(sub("app.*"))
				s.expect("subscribed")
				streams = append(streams, s)
			}
			b.ReportAllocs()
			for b.Loop() {
				w.write(b, "root", put("app.k", "1"))
				for _, s := range streams {
					s.next()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*watchers), "ns/watcher")
		})
	}
}
