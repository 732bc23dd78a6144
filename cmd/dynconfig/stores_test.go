package main

import (
	"testing"

	"github.com/dynconfig/dynconfig/conformance/services"
)

// onEachStore runs a test of a server as its users see it, on the embedded default and on Postgres with Redis: nobody
// outside can tell them apart.
func onEachStore(t *testing.T, test func(t *testing.T, flags ...string)) {
	t.Parallel()
	for _, store := range []struct {
		name  string
		flags func(t *testing.T) []string
	}{
		{"embedded", func(*testing.T) []string { return nil }},
		{"Postgres and Redis", func(t *testing.T) []string {
			server := services.StartPostgres(t)
			return []string{"--postgres-url", server.URL(server.Database(t)), "--redis-host", services.StartRedis(t).Addr}
		}},
	} {
		t.Run(store.name, func(t *testing.T) {
			t.Parallel()
			test(t, store.flags(t)...)
		})
	}
}
