package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dynconfig/dynconfig/backends/redis"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/observability"
	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/policy/authoring"
	"github.com/dynconfig/dynconfig/transport/auth"
	"github.com/dynconfig/dynconfig/transport/watch"
)

// Server is one node, all its parts put together by openServer.
type Server struct {
	URL    string       // at which this machine reaches it
	Issuer *auth.Issuer // nil where tokens come from elsewhere

	settings Settings
	log      *slog.Logger
	listener net.Listener
	unlock   func() // the data directory; nil where the backend does
	tracing  *observability.Tracing
	audit    *observability.Audit // nil where the backend keeps its own
	decided  *observability.DecisionLog
	records  *policy.Records // into decided
	backend  *core.Backend
	redis    *redis.Redis // nil where the settings name none; it ends with the backend
	engine   *core.Engine
	policy   *authoring.Manager
	remote   *auth.Remote // nil where the server is its own issuer
	watch    *watch.Handler
	http     *http.Server
	requests context.Context // of every request, ended when a drain has waited long enough
	hurry    context.CancelFunc
	draining atomic.Bool
}

// Run serves until ctx ends, drains, and closes everything. It returns when no goroutine is left.
func (s *Server) Run(ctx context.Context) error {
	defer s.close()
	s.log.Info("serving", "url", s.URL, "backend", s.backend.Name, "version", version())
	if s.Issuer != nil {
		s.log.Info("this server is its own issuer of tokens: dynconfig token --user " + s.settings.Admins[0])
	}
	working, stop := context.WithCancel(context.WithoutCancel(ctx)) // what serves requests outlives the last of them
	defer stop()
	g, failing := errgroup.WithContext(working)
	g.Go(func() error { return s.engine.Run(working) })
	g.Go(func() error { return s.policy.Run(working) })
	if s.audit != nil {
		g.Go(func() error { return s.audit.Run(working) })
	}
	g.Go(func() error { return s.records.Run(working) })
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

// exportTime is how long the last traces may take to be exported.
const exportTime = 5 * time.Second

// close closes what was opened, the latest first.
func (s *Server) close() {
	if s.hurry != nil {
		s.hurry()
	}
	if s.listener != nil {
		_ = s.listener.Close() // a second time, after Serve
	}
	if s.backend != nil {
		s.complain("store", s.backend.Close())
	}
	if s.audit != nil {
		s.complain("audit log", s.audit.Close())
	}
	if s.decided != nil {
		_ = s.records.Flush() // what cannot be written, Close tells
		s.complain("decision log", s.decided.Close())
	}
	if s.unlock != nil {
		s.unlock()
	}
	if s.tracing != nil {
		ctx, cancel := context.WithTimeout(context.Background(), exportTime)
		defer cancel()
		s.complain("traces", s.tracing.Close(ctx))
	}
}

func (s *Server) complain(what string, err error) {
	if err != nil {
		s.log.Error(what+" did not close", "error", err)
	}
}
