package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/transport/auth"
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
			logger, err := newLogger(c.ErrOrStderr(), s)
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

// Server is one node, all its parts put together.
type Server struct {
	URL    string       // at which this machine reaches it
	Issuer *auth.Issuer // nil where tokens come from elsewhere

	settings Settings
	log      *slog.Logger
	backend  *core.Backend
	engine   *core.Engine
	remote   *auth.Remote // nil where the server is its own issuer
	watch    *watch.Handler
	http     *http.Server
	listener net.Listener
	requests context.Context // of every request, ended when a drain has waited long enough
	hurry    context.CancelFunc
	draining atomic.Bool
}

// openServer is the composition root. It listens already, but answers nobody before Run. Whatever fails is one sentence.
func openServer(ctx context.Context, s Settings, logger *slog.Logger) (_ *Server, err error) {
	server := &Server{settings: s, log: logger}
	defer func() {
		if err != nil {
			server.close()
		}
	}()

	// The port first: it is the cheapest to find in use.
	if server.listener, err = listen(ctx, s); err != nil {
		return nil, err
	}
	server.URL = reachableURL(server.listener.Addr(), s.TLSCert != "")

	// Who may do what.
	authorizer, err := policy.New(ctx, policy.Options{Admins: s.Admins, Logger: logger})
	if err != nil {
		return nil, err
	}

	// Where the data is.
	if server.backend, err = openers()[s.Backend](ctx, s, logger); err != nil {
		return nil, err
	}
	encryption := ""
	if server.backend, encryption, err = sealed(ctx, server.backend, s, logger); err != nil {
		return nil, err
	}

	// What happens between them.
	server.engine, err = core.Open(ctx, server.backend, core.Options{Authorizer: authorizer, Logger: logger, Retention: s.Retention})
	if err != nil {
		return nil, err
	}

	// Who asks.
	guard, err := server.openGuard()
	if err != nil {
		return nil, err
	}

	// How they ask.
	server.watch = watch.New(server.engine, watch.Options{
		Authenticate: guard.Admit, Verify: guard.verify, Take: guard.take,
		MaxConnections: s.MaxConnections, AllowOrigins: s.AllowOrigins, Logger: logger,
	})
	handler := rest.New(server.engine, rest.Options{
		Authenticate: guard.Admit, Address: guard.Address, Watch: guard.behind(server.watch), JWKS: server.jwks(),
		Components: func() map[string]string {
			return map[string]string{"encryption": encryption, "keys": guard.health()}
		},
		Logger: logger, Draining: server.draining.Load, HideDenied: s.HideDenied,
		Version: version(), Backend: server.backend.Name,
	})
	server.requests, server.hurry = context.WithCancel(context.WithoutCancel(ctx))
	server.http = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return server.requests },
	}
	return server, nil
}

// Run serves until ctx ends, drains, and closes everything. It returns when no goroutine is left.
func (s *Server) Run(ctx context.Context) error {
	defer s.close()
	s.log.Info("serving", "url", s.URL, "backend", s.backend.Name, "version", version())
	if s.Issuer != nil {
		s.log.Info("this server is its own issuer of tokens: dynconfig token --user " + s.settings.Admins[0])
	}
	working, stop := context.WithCancel(context.WithoutCancel(ctx)) // the engine outlives the last request
	defer stop()
	g, failing := errgroup.WithContext(working)
	g.Go(func() error { return s.engine.Run(working) })
	if s.remote != nil {
		g.Go(func() error { return s.remote.Run(working) })
	}
	g.Go(func() error {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		select {
		case <-ctx.Done():
		case <-failing.Done():
		}
		s.drain()
		stop()
		return nil
	})
	err := g.Wait()
	s.log.Info("stopped")
	return err
}

// patience is how long a drain lets requests be that wait for something to happen.
const patience = time.Second

// drain takes no new work, sends the watchers away, and waits for what is under way.
func (s *Server) drain() {
	s.draining.Store(true)
	s.log.Info("draining")
	ctx, cancel := context.WithTimeout(context.Background(), s.settings.Drain)
	defer cancel()
	hurry := time.AfterFunc(min(patience, s.settings.Drain), s.hurry)
	defer hurry.Stop()
	var g errgroup.Group
	g.Go(func() error { return s.watch.Shutdown(ctx) })
	g.Go(func() error { return s.http.Shutdown(ctx) })
	if err := g.Wait(); err != nil {
		s.log.Warn("not everything ended in time", "error", err)
		_ = s.http.Close()
	}
}

// close closes what was opened, the latest first.
func (s *Server) close() {
	if s.hurry != nil {
		s.hurry()
	}
	if s.listener != nil {
		_ = s.listener.Close() // a second time, after Serve
	}
	if s.backend != nil {
		if err := s.backend.Close(); err != nil {
			s.log.Error("store did not close", "error", err)
		}
	}
}
