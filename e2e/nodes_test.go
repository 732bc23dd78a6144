package e2e

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

func TestWatchersOnEveryNodeHearEveryVersionOnceThoughANodeIsKilled(t *testing.T) {
	everyVersionOnce(t, newCluster(t, 3, newBackend(t).env, "--rate-limit", "0"), 200, func() {})
}

// everyVersionOnce lets watchers on all nodes hear what writers on all nodes write, while the second node is killed, harm is
// done, and the node started again.
func everyVersionOnce(t *testing.T, c *cluster, watchers int, harm func()) {
	t.Helper()
	const writers, each, keys = 8, 250, 20
	seats := make([]*http.Client, len(c.nodes))
	for i := range seats {
		seats[i] = c.seat(t, i)
	}
	start, err := put(t.Context(), c.client(t, seats[0]), "start", 1)
	if err != nil {
		t.Fatal(err)
	}
	crowd := c.watch(t, watchers, "load.*", start.Revision, func(i int) *http.Client { return seats[i%len(seats)] })
	crowd.connected(t)

	var done atomic.Int64
	var writing sync.WaitGroup
	var mu sync.Mutex
	newest := map[string]int64{}
	for w := range writers {
		cl := c.client(t, seats[w%len(seats)])
		writing.Go(func() {
			for n := range each {
				key := fmt.Sprintf("load.%d", (n+w)%keys)
				written, err := put(t.Context(), cl, key, n*writers+w)
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				mu.Lock()
				newest[key] = max(newest[key], written.Version)
				mu.Unlock()
				done.Add(1)
			}
		})
	}
	reached := func(n int64) func() error {
		return func() error {
			if done := done.Load(); done < n && !t.Failed() {
				return fmt.Errorf("%d writes", done)
			}
			return nil
		}
	}
	const total = writers * each
	until(t, "a third of the writes", reached(total/3))
	c.nodes[1].kill()
	harm()
	until(t, "two thirds of the writes", reached(2*total/3))
	c.nodes[1].start(t)
	writing.Wait()
	if t.Failed() {
		return
	}
	sum := int64(0)
	for _, version := range newest {
		sum += version
	}
	if sum != total {
		t.Errorf("%d writes made %d versions", total, sum)
	}
	crowd.await(t, newest)
	crowd.agree(t)
	until(t, "those of the node that was killed move", func() error {
		if n := crowd.reconnected(); n < watchers/3 {
			return fmt.Errorf("%d watchers moved", n)
		}
		return nil
	})
}
