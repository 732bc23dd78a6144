// Package postgres keeps the commit log, the table of the present and every key's history in PostgreSQL, and hears of
// commits through NOTIFY. The one row of the table head is the lock of every commit: a node takes it, evaluates a batch of
// transactions over what it then reads, and writes the batch in one statement.
package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dynconfig/dynconfig/core"
)

// Options are the backend's settings; the zero value works.
type Options struct {
	Manual  bool          // tables that are not up to date stop Open; else it upgrades them
	Quiet   bool          // another Bus is used: no NOTIFY, and Backend.Bus is nil
	Timeout time.Duration // of one call of the database; 0: 5 s
	Logger  *slog.Logger  // nil: none
}

const defaultTimeout = 5 * time.Second

var limits = core.Limits{MaxOps: 1000, MaxBytes: 16 << 20, Shared: true, Durable: true}

// Open connects to a database by its connection string and returns the backend.
func Open(ctx context.Context, url string, o Options) (*core.Backend, error) {
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	config, err := configure(url)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, unavailable("Postgres cannot be used", err)
	}
	b, err := open(ctx, pool, o)
	if err != nil {
		pool.Close()
		return nil, err
	}
	return b, nil
}

func open(ctx context.Context, pool *pgxpool.Pool, o Options) (*core.Backend, error) {
	f, err := meet(ctx, pool, o.Timeout)
	if err != nil {
		return nil, err
	}
	if err := prepareTables(ctx, pool.Config().ConnConfig, o); err != nil {
		return nil, err
	}
	limits := limits
	if f.durable != "" {
		limits.Durable = false
		o.Logger.Warn("Postgres may lose acknowledged commits when it crashes", "because", f.durable)
	}
	s := newStore(pool, limits, o)
	s.lineage.Store(&f.lineage)
	b := &core.Backend{Name: "postgres", Store: s, Limits: limits}
	if !o.Quiet {
		b.Bus = &Bus{store: s, config: pool.Config().ConnConfig}
	}
	b.Close = sync.OnceValue(func() error {
		s.close()
		pool.Close()
		return nil
	})
	return b, nil
}

// meet makes the first connection, whose failure is told with the place where there is nobody.
func meet(ctx context.Context, pool *pgxpool.Pool, timeout time.Duration) (facts, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := pool.Acquire(ctx)
	if err != nil {
		var e *core.Error
		if errors.As(fault(err), &e) && e.Detail == "Store does not answer" {
			err = unavailable("Postgres does not answer at "+address(pool.Config().ConnConfig), err)
		}
		return facts{}, fault(err)
	}
	defer conn.Release()
	f := factsOf(conn.Conn())
	if !f.unicode {
		return f, core.Errorf(core.ErrInvalid, "Database must have the encoding UTF8")
	}
	return f, nil
}

// nodeID tells this handle's notifications from those of others.
func nodeID() string { return strings.ToLower(rand.Text()[:12]) }
