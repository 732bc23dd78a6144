package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/core"
)

func TestWithoutPostgresReadsGoOnForMaxStaleAndWritesAreRefusedUntilItIsBack(t *testing.T) {
	t.Parallel()
	for _, way := range []struct {
		name        string
		takes, back func(t *testing.T, b *backend)
	}{
		{"stopped", func(t *testing.T, b *backend) { b.postgres.Pause(t) }, func(t *testing.T, b *backend) { b.postgres.Resume(t) }},
		{"killed", func(t *testing.T, b *backend) { b.postgres.Kill(t) }, func(t *testing.T, b *backend) { b.postgres.Start(t) }},
		{"refusing connections", func(_ *testing.T, b *backend) { b.toPostgres.Cut() }, func(t *testing.T, b *backend) { b.toPostgres.Mend(t) }},
		{"at the end of a network that loses everything", func(_ *testing.T, b *backend) { b.toPostgres.Stop() }, func(_ *testing.T, b *backend) { b.toPostgres.Resume() }},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			b := newBackend(t)
			c := newCluster(t, 2, b.env, "--rate-limit", "0", "--max-stale", "6s")
			a := c.client(t, c.only(t, c.nodes[0]))
			start, err := put(t.Context(), a, "start", 1)
			if err != nil {
				t.Fatal(err)
			}
			crowd := c.watch(t, 10, "away.*", start.Revision, func(i int) *http.Client { return c.only(t, c.nodes[i%2]) })
			if _, err := put(t.Context(), a, "away.k", 1); err != nil {
				t.Fatal(err)
			}
			crowd.await(t, map[string]int64{"away.k": 1})

			way.takes(t, b)
			c.isAway(t)
			way.back(t, b)

			for _, n := range c.nodes {
				until(t, "reads are fresh again", func() error {
					a := c.ask(t, c.only(t, n), c.token, http.MethodGet, "/keys/away.k", "")
					if stale := a.header.Get("X-DynConfig-Stale"); a.status != http.StatusOK || stale != "" {
						return fmt.Errorf("answered %d, stale for %q s", a.status, stale)
					}
					return nil
				})
				until(t, "health", func() error {
					if status, word, _ := c.health(t, n); status != http.StatusOK || word == core.Unhealthy {
						return fmt.Errorf("%d %s", status, word)
					}
					return nil
				})
				if _, err := put(t.Context(), c.client(t, c.only(t, n)), "away.k", 3); err != nil {
					t.Fatal(err)
				}
			}
			// What was answered 503 may have been written since, once.
			item, err := a.Get(t.Context(), "away.k", client.GetOptions{Strong: true})
			if err != nil {
				t.Fatal(err)
			}
			if item.Version < 3 || item.Version > 3+int64(len(c.nodes)) {
				t.Errorf("version %d after three acknowledged writes and %d of an unknown outcome", item.Version, len(c.nodes))
			}
			crowd.await(t, map[string]int64{"away.k": item.Version})
			crowd.agree(t)
			if n := crowd.reconnected(); n > 0 {
				t.Errorf("%d watchers had to connect again", n)
			}
		})
	}
}

// writeWithin is how long a writer may be left waiting: 10 s and a little for a machine that is busy.
const writeWithin = 12 * time.Second

// isAway tries what a cluster does whose store has just gone away: away.k is 1.
func (c *cluster) isAway(t *testing.T) {
	t.Helper()
	refused := make(chan error, len(c.nodes))
	for _, n := range c.nodes {
		go func() { refused <- c.refusesWrites(t, n) }()
	}
	for _, n := range c.nodes {
		stale := 0
		until(t, "reads end", func() error {
			switch a := c.ask(t, c.only(t, n), c.token, http.MethodGet, "/keys/away.k", ""); {
			case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "":
				return nil
			case a.status != http.StatusOK || a.body != `{"key":"away.k","value":1,"version":1}`:
				t.Fatalf("answered %d %s", a.status, a.body)
			case a.header.Get("X-DynConfig-Stale") != "":
				seconds, err := strconv.Atoi(a.header.Get("X-DynConfig-Stale"))
				if err != nil || seconds < 2 || seconds > 6 || seconds < stale {
					t.Fatalf("stale for %q s after %d s", a.header.Get("X-DynConfig-Stale"), stale)
				}
				stale = seconds
			}
			return errors.New("they go on")
		})
		if stale == 0 && n == c.nodes[0] {
			t.Error("no read was marked as stale")
		}
		if status, word, _ := c.health(t, n); status != http.StatusServiceUnavailable || word != core.Unhealthy {
			t.Errorf("health is %d %s", status, word)
		}
	}
	for range c.nodes {
		if err := <-refused; err != nil {
			t.Error(err)
		}
	}
}

// refusesWrites tries a write that no store takes.
func (c *cluster) refusesWrites(t *testing.T, n *node) error {
	begin := time.Now()
	a := c.ask(t, c.only(t, n), c.token, http.MethodPut, "/keys/away.k", `{"value":2}`)
	took := time.Since(begin)
	t.Logf("a write was answered %d after %v", a.status, took.Round(10*time.Millisecond))
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || took > writeWithin {
		return fmt.Errorf("a write was answered %d %s after %v", a.status, a.body, took)
	}
	return nil
}

func TestTerminatedConnectionsCostNobodyAnything(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	c := newCluster(t, 2, b.env, "--rate-limit", "0")
	once := c.once(t, c.only(t, c.nodes[0]))
	start, err := put(t.Context(), once, "start", 1)
	if err != nil {
		t.Fatal(err)
	}
	crowd := c.watch(t, 10, "cut.*", start.Revision, func(i int) *http.Client { return c.only(t, c.nodes[i%2]) })
	for n := range 100 {
		if n%10 == 5 {
			b.postgres.Cut(t, b.database)
		}
		if _, err := put(t.Context(), once, "cut.k", n); err != nil {
			t.Fatalf("write %d: %v", n, err)
		}
	}
	crowd.await(t, map[string]int64{"cut.k": 100})
	crowd.agree(t)
}
