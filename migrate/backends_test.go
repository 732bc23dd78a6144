package migrate_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/dynconfig/dynconfig/backends/embedded"
	"github.com/dynconfig/dynconfig/backends/etcd"
	"github.com/dynconfig/dynconfig/backends/nats"
	"github.com/dynconfig/dynconfig/backends/postgres"
	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/migrate"
)

// stations are empty stores of every backend but memory.
func stations(t *testing.T) map[string]func() (*core.Backend, error) {
	t.Helper()
	p := services.StartPostgres(t)
	e := services.StartEtcd(t)
	n := services.StartNats(t)
	stores := 0
	return map[string]func() (*core.Backend, error){
		"embedded": func() (*core.Backend, error) { return embedded.Open(t.Context(), t.TempDir(), embedded.Options{}) },
		"etcd": func() (*core.Backend, error) {
			stores++
			return etcd.Open(t.Context(), etcd.Config{Endpoints: []string{e.Endpoint}, Options: etcd.Options{Prefix: fmt.Sprintf("store%d/", stores)}})
		},
		"nats": func() (*core.Backend, error) {
			stores++
			return nats.Open(t.Context(), nats.Config{URL: n.URL, Options: nats.Options{Prefix: fmt.Sprintf("store%d", stores)}})
		},
		"postgres": func() (*core.Backend, error) {
			return postgres.Open(t.Context(), p.URL(p.Database(t)), postgres.Options{})
		},
	}
}

func TestACopyThroughEveryBackendAndBackIsTheSame(t *testing.T) {
	open := stations(t)
	for _, past := range []string{"compacted in part", "compacted to entries alone"} {
		t.Run(past, func(t *testing.T) {
			first := source(t, past)
			from := first
			for _, name := range []string{"embedded", "etcd", "nats", "postgres", "etcd", "embedded", "nats", "embedded", "postgres"} {
				to := closed(t, answered(t, open[name]))
				copyWithCut(t, from, to)
				from = to
			}
			same(t, first, from)
		})
	}
}

// copyWithCut copies, and is interrupted once.
func copyWithCut(t *testing.T, from, to *core.Backend) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := migrate.Run(ctx, from, to, migrate.Options{Progress: func(p migrate.Progress) {
		if p.Stage == migrate.Copying && p.Done > p.Of/2 {
			cancel()
		}
	}})
	if err == nil {
		t.Fatalf("the copy from %s to %s was not interrupted", from.Name, to.Name)
	}
	if _, err := migrate.Run(t.Context(), from, to, migrate.Options{}); err != nil {
		t.Fatalf("from %s to %s: %v", from.Name, to.Name, err)
	}
}
