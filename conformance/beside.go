package conformance

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// turn is how long each side writes before the other does: what else the machine does meanwhile concerns both.
const turn = 250 * time.Millisecond

// BenchBeside measures commits of a small key beside what the database makes of the same 200 bytes without us, bare, on the
// same server: by one writer and by 64, both sides in turn. The ratio says more than the figures, which are the machine's.
func BenchBeside(b *testing.B, s *core.Backend, bare func(ctx context.Context, i int, value []byte) error) {
	ours := func(ctx context.Context, i int, _ []byte) error {
		_, err := s.Store.Commit(ctx, benchTxn(1, i))
		return err
	}
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("%d writers", writers), func(b *testing.B) {
			var done, did rate
			for b.Loop() {
				done.take(b, writers, ours)
				did.take(b, writers, bare)
			}
			b.ReportMetric(done.perSecond(), "commits/s")
			b.ReportMetric(did.perSecond(), "bare/s")
			b.ReportMetric(done.perSecond()/did.perSecond(), "ratio")
		})
	}
}

// rate is how often something was done in how long.
type rate struct {
	n    atomic.Int64
	time time.Duration
}

func (r *rate) perSecond() float64 { return float64(r.n.Load()) / r.time.Seconds() }

// take lets writers write for a turn.
func (r *rate) take(b *testing.B, writers int, write func(ctx context.Context, i int, value []byte) error) {
	begin := time.Now()
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for time.Since(begin) < turn {
				if err := write(b.Context(), int(r.n.Add(1)), benchValue); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	r.time += time.Since(begin)
}
