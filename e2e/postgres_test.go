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
			c := newCluster(t, 2, b.env, "--rate-limit", "0", "--max-stale", fmt.Sprint(maxStale))
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
			crowd.connected(t)

			c.isAway(t, func() { way.takes(t, b) })
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

// maxStale is how long reads go on, for as long as a write tries: a machine may stand still for a part of it.
const maxStale = 10 * time.Second

// isAway tries what a cluster does whose store is taken away: away.k is 1. Somebody reads from before until reads end.
func (c *cluster) isAway(t *testing.T, takes func()) {
	t.Helper()
	refused := make(chan error, 2*len(c.nodes))
	for _, n := range c.nodes {
		go func() { refused <- c.endsReads(t, n) }()
	}
	takes()
	for _, n := range c.nodes {
		go func() { refused <- c.refusesWrites(t, n) }()
	}
	for range cap(refused) {
		if err := <-refused; err != nil {
			t.Error(err)
		}
	}
	for _, n := range c.nodes {
		c.feels(t, n, core.Unhealthy)
	}
}

// endsReads reads until a node refuses to. Meanwhile it says for how long it has not heard of the store.
func (c *cluster) endsReads(t *testing.T, n *node) error {
	stale, h := 0, c.only(t, n)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		a, err := c.try(t.Context(), h, c.token, http.MethodGet, "/keys/away.k", "")
		switch said := a.header.Get("X-DynConfig-Stale"); {
		case err != nil:
			return err
		case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "":
			if stale == 0 {
				return errors.New("no read was marked as stale")
			}
			return nil
		case a.status != http.StatusOK || a.body != `{"key":"away.k","value":1,"version":1}`:
			return fmt.Errorf("a read was answered %d %s", a.status, a.body)
		case said != "":
			seconds, err := strconv.Atoi(said)
			if err != nil || seconds < 2 || seconds > int(maxStale/time.Second) {
				return fmt.Errorf("stale for %q s after %d s", said, stale)
			}
			stale = seconds
		}
	}
	return errors.New("reads go on")
}

// refusesWrites tries a write that no store takes.
func (c *cluster) refusesWrites(t *testing.T, n *node) error {
	begin := time.Now()
	a, err := c.try(t.Context(), c.only(t, n), c.token, http.MethodPut, "/keys/away.k", `{"value":2}`)
	t.Logf("a write was answered %d after %v", a.status, time.Since(begin).Round(10*time.Millisecond))
	if err == nil && (a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "") {
		err = fmt.Errorf("a write was answered %d %s", a.status, a.body)
	}
	return err
}

func TestTerminatedConnectionsCostNobodyAnything(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	c := newCluster(t, 2, b.env, "--rate-limit", "0")
	a := c.once(t, c.only(t, c.nodes[0]))
	start, err := once(t, a, "start", 1)
	if err != nil {
		t.Fatal(err)
	}
	crowd := c.watch(t, 10, "cut.*", start.Revision, func(i int) *http.Client { return c.only(t, c.nodes[i%2]) })
	for n := range 100 {
		if n%10 == 5 {
			b.postgres.Cut(t, b.database)
		}
		if _, err := once(t, a, "cut.k", n); err != nil {
			t.Fatalf("write %d: %v", n, err)
		}
	}
	crowd.await(t, map[string]int64{"cut.k": 100})
	crowd.agree(t)
}
