package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

func TestWithoutRedisWritesGoOnAndWatchersHearThemThroughTheLog(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	c := newCluster(t, 2, b.env, "--rate-limit", "0")
	a, other := c.client(t, c.only(t, c.nodes[0])), c.only(t, c.nodes[1])
	start, err := put(t.Context(), a, "start", 1)
	if err != nil {
		t.Fatal(err)
	}
	crowd := c.watch(t, 10, "away.*", start.Revision, func(int) *http.Client { return other })
	want := map[string]int64{}
	// write writes and waits until the watchers on the other node have heard it all, and returns for how long.
	write := func(t *testing.T) time.Duration {
		t.Helper()
		for i := range 20 {
			key := fmt.Sprintf("away.%d", i%5)
			written, err := put(t.Context(), a, key, i)
			if err != nil {
				t.Fatal(err)
			}
			want[key] = written.Version
		}
		done := time.Now()
		crowd.await(t, want)
		return time.Since(done)
	}
	write(t)
	crowd.connected(t)
	for _, way := range []struct {
		name        string
		takes, back func(t *testing.T)
	}{
		{"stopped", func(t *testing.T) { b.redis.Pause(t) }, func(t *testing.T) { b.redis.Resume(t) }},
		{"killed", func(t *testing.T) { b.redis.Kill(t) }, func(t *testing.T) { b.redis.Start(t) }},
		{"refusing connections", func(*testing.T) { b.toRedis.Cut() }, func(t *testing.T) { b.toRedis.Mend(t) }},
		{"at the end of a network that loses everything", func(*testing.T) { b.toRedis.Stop() }, func(*testing.T) { b.toRedis.Resume() }},
		{"slow", func(*testing.T) { b.toRedis.Slow(time.Second) }, func(*testing.T) { b.toRedis.Slow(0) }},
	} {
		t.Run(way.name, func(t *testing.T) {
			way.takes(t)
			t.Logf("heard after %v", write(t).Round(time.Millisecond))
			for _, n := range c.nodes {
				until(t, "health says so", func() error { return c.redisIs(t, n, core.Degraded) })
			}
			way.back(t)
			write(t)
			for _, n := range c.nodes {
				until(t, "health says that it is back", func() error { return c.redisIs(t, n, core.Healthy) })
			}
			write(t)
		})
	}
	crowd.agree(t)
	if n := crowd.reconnected(); n > 0 {
		t.Errorf("%d watchers had to connect again", n)
	}
}

// redisIs returns an error unless health says a word of Redis. Redis alone never makes a node unhealthy.
func (c *cluster) redisIs(t *testing.T, n *node, word string) error {
	t.Helper()
	status, all, parts := c.health(t, n)
	if status != http.StatusOK || all == core.Unhealthy {
		return fmt.Errorf("health is %d %s", status, all)
	}
	if parts["redis"] != word {
		return fmt.Errorf("redis is %s, want %s", parts["redis"], word)
	}
	return nil
}

// missed counts how often a node held Redis to be away.
func (c *cluster) missed() (n int) {
	for _, node := range c.nodes {
		n += strings.Count(node.log.String(), "redis is away")
	}
	return n
}

func TestLimitsAreCountedTogetherAndByEachNodeWithoutRedis(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	const limit = 200
	const slack = 2 * 2 * (limit / 50) // of leases: two nodes with a block each, twice
	c := newCluster(t, 2, b.env, "--rate-limit", fmt.Sprint(limit))
	// granted asks until each node has refused, and returns what was granted by all, and what may have flowed in meanwhile.
	granted := func(t *testing.T, user string) (n, flowed int) {
		t.Helper()
		token, begin := c.issue(t, user), time.Now()
		refused := map[*node]bool{}
		for i := 0; len(refused) < len(c.nodes); i++ {
			node := c.nodes[i%len(c.nodes)]
			switch a := c.ask(t, c.only(t, node), token, http.MethodGet, "/keys/none", ""); a.status {
			case http.StatusNotFound, http.StatusServiceUnavailable: // where the store was too slow it counts, too
				n++
			case http.StatusTooManyRequests:
				if a.header.Get("Retry-After") == "" {
					t.Error("429 without Retry-After")
				}
				refused[node] = true
			default:
				t.Fatalf("answered %d %s", a.status, a.body)
			}
		}
		return n, int(time.Since(begin).Minutes()*limit) + 1
	}
	// shared is granted while Redis counts: a node that held it to be away, since the machine stood still, counted by itself.
	shared := func(user string) (n, flowed int) {
		t.Helper()
		until(t, "Redis counts", func() error {
			for _, n := range c.nodes {
				if err := c.redisIs(t, n, core.Healthy); err != nil {
					return err
				}
			}
			before := c.missed()
			user += "!" // who asks has not asked before
			n, flowed = granted(t, user)
			if missed := c.missed() - before; missed > 0 {
				return fmt.Errorf("it was away %d times", missed)
			}
			return nil
		})
		return n, flowed
	}
	n, flowed := shared("together")
	if n > limit+flowed || n < limit-slack {
		t.Errorf("two nodes granted %d requests, want %d to %d", n, limit-slack, limit+flowed)
	}
	b.redis.Kill(t)
	for _, n := range c.nodes {
		until(t, "health says that Redis is away", func() error { return c.redisIs(t, n, core.Degraded) })
	}
	n, flowed = granted(t, "alone")
	if n < 2*limit || n > 2*(limit+flowed) {
		t.Errorf("two nodes by themselves granted %d requests, want %d to %d", n, 2*limit, 2*(limit+flowed))
	}
	b.redis.Start(t)
	n, flowed = shared("again")
	if n > limit+flowed || n < limit-slack {
		t.Errorf("with Redis back two nodes granted %d requests, want %d to %d", n, limit-slack, limit+flowed)
	}
}
