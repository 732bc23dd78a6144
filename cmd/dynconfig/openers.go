package main

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/dynconfig/dynconfig/backends/embedded"
	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/backends/postgres"
	"github.com/dynconfig/dynconfig/core"
)

// opener opens a backend as the settings say.
type opener func(ctx context.Context, s Settings, logger *slog.Logger) (*core.Backend, error)

// openers is every backend of this build, by its name.
func openers() map[string]opener {
	return map[string]opener{
		"embedded": func(ctx context.Context, s Settings, logger *slog.Logger) (*core.Backend, error) {
			return embedded.Open(ctx, s.DataDir, embedded.Options{Logger: logger})
		},
		"etcd": func(ctx context.Context, s Settings, _ *slog.Logger) (*core.Backend, error) {
			return s.Etcd.open(ctx)
		},
		"memory": func(context.Context, Settings, *slog.Logger) (*core.Backend, error) {
			return memory.Open(memory.Options{}), nil
		},
		"nats": openNATS,
		"postgres": func(ctx context.Context, s Settings, logger *slog.Logger) (*core.Backend, error) {
			return postgres.Open(ctx, s.Postgres.url, postgres.Options{Manual: s.Postgres.migrate == "off", Quiet: len(s.Redis.hosts) > 0, Logger: logger})
		},
	}
}

// backendNames are those of openers, for people.
func backendNames() string {
	return strings.Join(slices.Sorted(maps.Keys(openers())), ", ")
}
