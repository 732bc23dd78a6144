package auth

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

func take(t *testing.T, l *Limiter, name string, n int) core.Budget {
	t.Helper()
	return must(l.Take(t.Context(), name, n))
}

func TestBucketHoldsTheLimitAndRefillsOverAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, limit := range []int{1, 7, 60, 1000} {
			l := NewLimiter(limit, nil)
			for n := range limit {
				if b := take(t, l, "a", 1); !b.Allowed || b.Limit != limit || b.Remaining != limit-n-1 {
					t.Fatalf("limit %d, request %d: got %+v", limit, n+1, b)
				}
			}
			b := take(t, l, "a", 1)
			if b.Allowed || b.Remaining != 0 || b.Retry <= 0 || b.Reset < time.Minute || b.Reset > time.Minute+time.Microsecond {
				t.Fatalf("limit %d, one more: got %+v", limit, b)
			}
			time.Sleep(b.Retry - 1)
			if take(t, l, "a", 1).Allowed {
				t.Fatalf("limit %d: allowed before Retry", limit)
			}
			time.Sleep(time.Nanosecond)
			if !take(t, l, "a", 1).Allowed {
				t.Fatalf("limit %d: refused after Retry", limit)
			}
			time.Sleep(2 * time.Minute)
			if b := take(t, l, "a", 0); b.Remaining != limit || b.Reset != 0 {
				t.Fatalf("limit %d, two minutes later: got %+v, want a full bucket", limit, b)
			}
		}
	})
}

func TestNamesHaveBucketsOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1, nil)
		if !take(t, l, "a", 1).Allowed || !take(t, l, "b", 1).Allowed || take(t, l, "a", 1).Allowed {
			t.Fatal("want one each for a and b, and no second for a")
		}
	})
}

func TestRefusedRequestsCostNothingAndLookingNeither(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(10, nil)
		if b := take(t, l, "a", 11); b.Allowed || b.Remaining != 10 {
			t.Fatalf("more than the limit: got %+v", b)
		}
		if b := take(t, l, "a", 10); !b.Allowed || b.Remaining != 0 {
			t.Fatalf("all at once: got %+v", b)
		}
		for range 100 {
			take(t, l, "a", 1)
			take(t, l, "a", 0)
		}
		time.Sleep(6 * time.Second)
		if !take(t, l, "a", 1).Allowed {
			t.Fatal("refused requests were counted")
		}
	})
}

func TestNeverMoreThanTheLimitPlusWhatWasRefilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for seed := range uint64(20) {
			random := rand.New(rand.NewPCG(seed, 0))
			limit := 1 + random.IntN(300)
			l, start, passed := NewLimiter(limit, nil), time.Now(), 0
			for range 3000 {
				time.Sleep(time.Duration(random.Int64N(int64(200 * time.Millisecond))))
				if n := 1 + random.IntN(3); take(t, l, "a", n).Allowed {
					passed += n
				}
				bound := float64(limit) * (1 + time.Since(start).Minutes())
				if float64(passed) > bound {
					t.Fatalf("seed %d: %d passed, at most %.2f may", seed, passed, bound)
				}
			}
		}
	})
}

func TestZeroIsNoLimit(t *testing.T) {
	l := NewLimiter(0, nil)
	for range 10_000 {
		if b := take(t, l, "a", 1); !b.Allowed || b.Limit != 0 {
			t.Fatalf("got %+v", b)
		}
	}
}

func TestFullBucketsAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(60, nil)
		for range 100 {
			for n := range 1000 {
				take(t, l, strconv.Itoa(n)+time.Now().String(), 1)
			}
			time.Sleep(time.Second)
		}
		if n := l.names(); n > limiterShards*sweepFrom*2 {
			t.Fatalf("%d names are kept after 100,000 of which 1000 a second are alive", n)
		}
	})
}

func TestMemoryIsBoundedAndOverflowingNamesShareOneBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 5
		l, passed := NewLimiter(limit, nil), 0
		for n := range 2 * limiterShards * shardNames {
			if take(t, l, strconv.Itoa(n), 1).Allowed {
				passed++
			}
		}
		if n := l.names(); n > limiterShards*shardNames {
			t.Errorf("%d names are kept, more than the bound", n)
		}
		if most := limiterShards * (shardNames + limit); passed > most {
			t.Errorf("%d passed, at most %d may", passed, most)
		}
		time.Sleep(time.Minute + time.Second)
		if b := take(t, l, "late", limit); !b.Allowed {
			t.Errorf("when all are full again a new name gets %+v", b)
		}
	})
}

func (l *Limiter) names() (n int) {
	for i := range l.shards {
		n += len(l.shards[i].full)
	}
	return n
}
