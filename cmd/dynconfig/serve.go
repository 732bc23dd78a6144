package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/backends/embedded"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/observability"
	"github.com/dynconfig/dynconfig/policy/authoring"
	"github.com/dynconfig/dynconfig/transport/rest"
	"github.com/dynconfig/dynconfig/transport/watch"
)

func serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "serve", Short: "Serve until SIGTERM or Ctrl-C", Args: arguments(0, ""),
		Long: `Serve until SIGTERM or Ctrl-C. With nothing set: an embedded durable store in ./data, its own issuer of tokens, on
127.0.0.1:8080. Every setting is a flag, a variable (DYNCONFIG_ and the flag in capitals) and a line of a YAML file;
flags win over variables over the file.`,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := loadSettings(c.Flags(), os.Environ(), configFile(c.Flags()))
			if err == nil {
				err = s.check()
			}
			if err != nil {
				return err
			}
			logger, err := observability.NewLogger(c.ErrOrStderr(), observability.LogOptions{Level: s.LogLevel, Format: s.LogFormat})
			if err != nil {
				return err
			}
			server, err := openServer(c.Context(), s, logger)
			if err != nil {
				return err
			}
			return server.Run(c.Context())
		},
	}
	addFlags(c.Flags())
	return c
}

// openServer is the composition root. The Server listens already, but answers nobody before Run. Whatever fails is one
// sentence for the operator.
func openServer(ctx context.Context, s Settings, logger *slog.Logger) (_ *Server, err error) {
	server := &Server{settings: s, log: logger}
	defer func() {
		if err != nil {
			server.close()
		}
	}()

	// The port first: it is the cheapest to find in use.
	listener, err := listen(ctx, s)
	if err != nil {
		return nil, err
	}
	server.listener, server.URL = listener, reachableURL(listener.Addr(), s.TLSCert != "")

	// What shows how it goes.
	metrics := observability.NewMetrics(version())
	if server.tracing, err = observability.OpenTracing(ctx, version(), logger); err != nil {
		return nil, err
	}

	// Who may do what: it touches no data, so a start that fails here leaves none behind.
	rules, err := openPolicy(ctx, s, logger)
	if err != nil {
		return nil, err
	}
	metrics.Policy(func() observability.PolicyStats { return observability.PolicyStats(rules.authorizer.Stats()) })

	// Where the data is: counted and traced, behind the keyset.
	backend, err := openers()[s.Backend](ctx, s, logger)
	if err != nil {
		return nil, err
	}
	server.backend = backend
	if server.redis, err = joinRedis(ctx, backend, s, logger); err != nil {
		return nil, err
	}
	if server.redis != nil {
		metrics.Redis(func() observability.RedisStats { return observability.RedisStats(server.redis.Stats()) })
	}
	backend.Store = observability.NewStore(backend.Store, backend.Name, metrics, server.tracing.Tracer())
	backend, encryption, err := sealed(ctx, backend, s, logger)
	if err != nil {
		return nil, err
	}
	server.backend = backend
	if s.Backend != "embedded" { // which has taken it
		if server.unlock, err = embedded.Lock(s.DataDir); err != nil {
			return nil, err
		}
	}
	if backend.Audit == nil {
		if server.audit, err = openAudit(s.DataDir, logger); err != nil {
			return nil, err
		}
		backend.Audit = server.audit
		metrics.AuditLog(server.audit.Stats)
	}
	if server.decided, server.records, err = openDecisions(s, logger); err != nil {
		return nil, err
	}
	metrics.DecisionLog(server.decided.Stats)
	rules.authorizer.Record(server.records)

	// What happens between them.
	engine, err := core.Open(ctx, backend, core.Options{Authorizer: rules.authorizer, Logger: logger, Retention: s.Retention, MaxStale: s.MaxStale})
	if err != nil {
		return nil, err
	}
	server.engine = engine
	metrics.Engine(engine.Stats)
	server.policy, err = authoring.Open(ctx, authoring.Options{
		Engine: engine, Authorizer: rules.authorizer, Source: rules.source, Sandbox: rules.sandbox, Decisions: server.records,
		Rescue: s.Policy.choice == "shipped", HideDenied: s.HideDenied, Logger: logger,
	})
	if err != nil {
		return nil, err
	}

	metrics.PolicyLoads(func() observability.PolicyLoads { return observability.PolicyLoads(server.policy.Stats()) })

	// Who asks.
	guard, err := server.openGuard()
	if err != nil {
		return nil, err
	}

	// How they ask.
	server.watch = watch.New(engine, watch.Options{
		Authenticate: guard.Admit, Verify: guard.Guard.Authenticate, Take: guard.take, Await: guard.Await, Failed: guard.Fail, Stray: guard.stray, Address: guard.Address,
		Alike: rules.authorizer.Alike, MaxConnections: s.MaxConnections, AllowOrigins: s.AllowOrigins, Logger: logger,
	})
	handler := rest.New(engine, rest.Options{
		Authenticate: guard.Admit, Address: guard.Address, HideDenied: s.HideDenied, Policies: server.policy,
		Watch: server.watch, Metrics: metrics, JWKS: server.jwks(), Observe: metrics.Observe, Logger: logger,
		Components: func() map[string]string {
			parts := map[string]string{"encryption": encryption.health, "keys": guard.health(), "audit": server.auditHealth(), "policy": server.policy.Health(), "decisions": server.decided.Health()}
			if server.redis != nil {
				parts["redis"] = server.redis.Health()
			}
			return parts
		},
		Cursors: encryption.cursors, Draining: server.draining.Load, Version: version(), Backend: backend.Name,
	})
	server.requests, server.hurry = context.WithCancel(context.WithoutCancel(ctx))
	server.http = &http.Server{
		Handler:           server.tracing.Handler(metrics.InFlight(handler)),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return server.requests },
	}
	return server, nil
}
