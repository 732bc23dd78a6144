package main

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"github.com/dynconfig/dynconfig/backends/embedded"
	"github.com/dynconfig/dynconfig/backends/etcd"
	"github.com/dynconfig/dynconfig/backends/memory"
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
			if len(s.EtcdEndpoints) == 0 {
				return nil, failf("Backend etcd needs ETCD_ENDPOINTS or --etcd-endpoints")
			}
			return etcd.Open(ctx, etcd.Config{Endpoints: s.EtcdEndpoints})
		},
		"memory": func(context.Context, Settings, *slog.Logger) (*core.Backend, error) {
			return memory.Open(memory.Options{}), nil
		},
	}
}

// openBackend opens the backend of that name.
func openBackend(ctx context.Context, s Settings, logger *slog.Logger) (*core.Backend, error) {
	open, ok := openers()[s.Backend]
	if !ok {
		var names []string
		for name := range openers() {
			names = append(names, name)
		}
		slices.Sort(names)
		return nil, failf("This build has no backend %q; it has %s", s.Backend, strings.Join(names, ", "))
	}
	return open(ctx, s, logger)
}
