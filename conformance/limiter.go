package conformance

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

var limiterPromises = []promise{
	{name: "the limit holds over two nodes", needs: needsLimiter, test: limitHolds},
	{name: "principals do not share a budget", needs: needsLimiter, test: principalsApart},
	{name: "a refusal says when to come back", needs: needsLimiter, test: refusalSaysWhen},
}

func take(t testing.TB, b *core.Backend, principal string, n int) core.Budget {
	t.Helper()
	budget, err := takeOf(t.Context(), b, principal, n)
	if err != nil {
		t.Fatalf("Take(%q, %d): %v", principal, n, err)
	}
	return budget
}

// takeOf asks again while the limiter says that it is away, which it may be for a moment.
func takeOf(ctx context.Context, b *core.Backend, principal string, n int) (budget core.Budget, err error) {
	err = present(ctx, func() error {
		budget, err = b.Limiter.Take(ctx, principal, n)
		return err
	})
	return budget, err
}

// present repeats a call of what shares a server with other nodes and is not needed, a limiter or a cache, until it
// succeeds: an error says no more than that the server did not answer in time.
func present(ctx context.Context, call func() error) error {
	for end := time.Now().Add(patience); ; <-retry() {
		if err := call(); err == nil || ctx.Err() != nil || time.Now().After(end) {
			return err
		}
	}
}

// limitHolds takes as fast as it can on two nodes. What the bucket may have given is its size and what flowed in since.
func limitHolds(t testing.TB, s *subject) {
	nodes := []*core.Backend{s.Backend, s.peer(t)}
	who := rand.Text()
	start := time.Now()
	limit := take(t, s.Backend, who, 1).Limit
	if limit == 0 {
		t.Fatalf("the limiter under test has no limit")
	}
	var allowed atomic.Int64
	allowed.Store(1)
	together(t, 8, func(i int) error {
		for range limit/4 + 1 {
			budget, err := takeOf(t.Context(), nodes[i%2], who, 1)
			if err != nil {
				return err
			}
			if budget.Limit != limit || budget.Remaining < 0 || budget.Remaining > limit {
				return fmt.Errorf("with limit %d, the budget is %+v", limit, budget)
			}
			if budget.Allowed {
				allowed.Add(1)
			}
		}
		return nil
	})
	most := float64(limit) * (1 + time.Since(start).Minutes())
	if n := allowed.Load(); float64(n) > most+1 {
		t.Errorf("%d requests were allowed within %v, with a limit of %d a minute", n, time.Since(start), limit)
	} else if n < int64(limit)/2 {
		t.Errorf("%d requests were allowed, with a limit of %d: leases may grant a little less, not half", n, limit)
	}
}

func principalsApart(t testing.TB, s *subject) {
	ann, bob := rand.Text(), rand.Text()
	for range take(t, s.Backend, ann, 1).Limit * 2 {
		if !take(t, s.Backend, ann, 1).Allowed {
			break
		}
	}
	if b := take(t, s.Backend, bob, 1); !b.Allowed {
		t.Errorf("another principal's budget is %+v", b)
	}
}

func refusalSaysWhen(t testing.TB, s *subject) {
	who := rand.Text()
	limit := take(t, s.Backend, who, 1).Limit
	for range limit * 2 {
		if b := take(t, s.Backend, who, 1); !b.Allowed {
			if b.Retry <= 0 || b.Retry > time.Minute || b.Reset <= 0 || b.Reset > 2*time.Minute {
				t.Errorf("the refusal is %+v, want a time to try again within a minute", b)
			}
			return
		}
	}
	t.Errorf("twice the limit of %d was allowed", limit)
}
