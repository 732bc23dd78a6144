package redis

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/dynconfig/dynconfig/core"
)

// monitor knows whether Redis answers. Whoever finds that it does not says so, and from then on nobody waits for it: a
// probe every second finds out when it is back. Of a cluster every master must answer.
type monitor struct {
	client  goredis.UniversalClient
	timeout time.Duration // of one call
	log     *slog.Logger

	gone   atomic.Bool
	fault  atomic.Int64 // unix seconds: when Redis last refused a command
	logged atomic.Int64 // unix seconds: when that was last logged

	cancel context.CancelFunc
	done   sync.WaitGroup
}

const (
	probeEvery = time.Second
	// faultFor is how long a refused command, such as one for want of memory or of a right, shows in the health.
	faultFor = 10 * time.Second
	logEvery = time.Minute
)

func newMonitor(client goredis.UniversalClient, timeout time.Duration, log *slog.Logger) *monitor {
	ctx, cancel := context.WithCancel(context.Background())
	m := &monitor{client: client, timeout: timeout, log: log, cancel: cancel}
	m.done.Go(func() { m.run(ctx) })
	return m
}

func (m *monitor) close() {
	m.cancel()
	m.done.Wait()
}

func (m *monitor) run(ctx context.Context) {
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for {
		err := m.probe(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil: // also a refusal: of the password, say, or while it loads
			m.lost(err)
		case m.gone.CompareAndSwap(true, false):
			m.log.Info("redis is back")
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (m *monitor) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*m.timeout)
	defer cancel()
	if cluster, ok := m.client.(*goredis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, master *goredis.Client) error { return master.Ping(ctx).Err() })
	}
	return m.client.Ping(ctx).Err()
}

// away reports whether there is no use in asking.
func (m *monitor) away() bool { return m.gone.Load() }

// failed hears of every error of Redis. One that Redis itself answered with does not mean that it is away: it came at once,
// and the next command may pass.
func (m *monitor) failed(err error) {
	var refused goredis.Error
	switch {
	case err == nil || errors.Is(err, goredis.Nil) || errors.Is(err, context.Canceled) || errors.Is(err, goredis.ErrClosed) || errors.Is(err, errAway):
	case errors.As(err, &refused):
		now := time.Now().Unix()
		m.fault.Store(now)
		if last := m.logged.Load(); now-last > int64(logEvery/time.Second) && m.logged.CompareAndSwap(last, now) {
			m.log.Warn("redis refuses a command", "error", err)
		}
	default:
		m.lost(err)
	}
}

func (m *monitor) lost(err error) {
	if m.gone.CompareAndSwap(false, true) {
		m.log.Warn("redis is away: changes are found by polling, values come from the store, each node counts requests by itself", "error", err)
	}
}

func (m *monitor) health() string {
	if m.away() || time.Since(time.Unix(m.fault.Load(), 0)) < faultFor {
		return core.Degraded
	}
	return core.Healthy
}
