// Package redis adds to a shared store what makes several nodes one server: a Bus over publish and subscribe, a Cache of
// immutable entries, and a Limiter whose tokens are leased to nodes. It keeps no truth: while Redis is away writes go on,
// changes are found by polling, values come from the store, and each node counts requests by itself.
package redis

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/dynconfig/dynconfig/core"
)

// Options are the settings beside the address; the zero value works, without limits.
type Options struct {
	Username string
	Password string
	TLS      *tls.Config   // nil: none
	Prefix   string        // of every key and channel; "": DefaultPrefix. Deployments that share a Redis have one each.
	Limit    int           // requests a minute of a principal; 0: no limit, hence no Limiter
	Lease    time.Duration // how long leased tokens are good; 0: 10s
	Timeout  time.Duration // of one call: how long anybody waits for Redis before it is away; 0: 250ms
	Logger   *slog.Logger  // nil: none
}

// DefaultPrefix begins every key and channel.
const DefaultPrefix = "dynconfig"

// defaultTimeout is how long anybody waits for Redis. A server that does not answer costs this once: then it is away, until
// it answers a probe.
const defaultTimeout = 250 * time.Millisecond

// Redis is a connection to one server or cluster, and the parts of a backend that live there.
type Redis struct {
	client  goredis.UniversalClient
	o       Options
	node    string // this one, as others see it: random
	monitor *monitor
	bus     *Bus
	cache   *Cache
	limiter *Limiter // nil: no limit
	end     func() error
}

// Open prepares a connection to addrs: host:port or the unix socket of a server, or several nodes of one cluster. A server
// that is away is no error: it is used from when it answers.
func Open(addrs []string, o Options) (*Redis, error) {
	if len(addrs) == 0 {
		return nil, core.Errorf(core.ErrInvalid, "Redis needs an address")
	}
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if strings.ContainsAny(o.Prefix, "{}") {
		return nil, core.Errorf(core.ErrInvalid, "A prefix of Redis keys has no braces")
	}
	if o.Lease == 0 {
		o.Lease = 10 * time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	logging.Disable() // what matters is logged here
	r := &Redis{client: connect(addrs, o), o: o, node: rand.Text()[:nodeBytes]}
	r.monitor = newMonitor(r.client, o.Timeout, o.Logger)
	r.bus = newBus(r)
	r.cache = newCache(r)
	if o.Limit > 0 {
		r.limiter = newLimiter(r)
	}
	r.end = sync.OnceValue(r.close)
	return r, nil
}

func connect(addrs []string, o Options) goredis.UniversalClient {
	return goredis.NewUniversalClient(&goredis.UniversalOptions{
		Addrs: addrs, IsClusterMode: len(addrs) > 1,
		Username: o.Username, Password: o.Password, TLSConfig: o.TLS,
		Protocol: 2, DisableIdentity: true,
		DialTimeout: 2 * o.Timeout, ReadTimeout: o.Timeout, WriteTimeout: o.Timeout, PoolTimeout: o.Timeout,
		ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1,
	})
}

// Join adds the parts to a backend, and closes with it. The Bus replaces its own, if others share its store.
func (r *Redis) Join(ctx context.Context, b *core.Backend) error {
	status, err := b.Store.Status(ctx)
	if err != nil {
		return err
	}
	r.bus.enter(status.Epoch)
	b.Store = &observed{Store: b.Store, enter: r.bus.enter}
	if b.Limits.Shared {
		b.Bus = r.bus
	}
	b.Cache = r.cache
	if r.limiter != nil {
		b.Limiter = r.limiter
	}
	closeStore := b.Close
	b.Close = func() error { return errors.Join(r.Close(), closeStore()) }
	return nil
}

// observed is a Store that tells the Bus which epoch it is in.
type observed struct {
	core.Store
	enter func(epoch string)
}

func (s *observed) Status(ctx context.Context) (core.Status, error) {
	status, err := s.Store.Status(ctx)
	if err == nil {
		s.enter(status.Epoch)
	}
	return status, err
}

// Health is a word: degraded while Redis is away.
func (r *Redis) Health() string { return r.monitor.health() }

// Stats are figures for metrics, counted since the start.
type Stats struct {
	Away                     bool
	HintsDropped             uint64
	CacheHits, CacheMisses   uint64
	CacheDropped             uint64 // entries that were not put
	Settlements, LeasesAsked uint64 // round trips about leases, and leases in them
}

// Stats returns the figures.
func (r *Redis) Stats() Stats {
	s := Stats{
		Away: r.monitor.away(), HintsDropped: r.bus.out.dropped.Load(),
		CacheHits: r.cache.hits.Load(), CacheMisses: r.cache.misses.Load(), CacheDropped: r.cache.out.dropped.Load(),
	}
	if r.limiter != nil {
		s.Settlements, s.LeasesAsked = r.limiter.trips.Load(), r.limiter.asked.Load()
	}
	return s
}

// Close gives unspent tokens back and ends the connection. A second call does nothing.
func (r *Redis) Close() error { return r.end() }

func (r *Redis) close() error {
	if r.limiter != nil {
		r.limiter.close()
	}
	r.bus.close()
	r.cache.close()
	r.monitor.close()
	return r.client.Close()
}

// nodeBytes is how long the name of a node is.
const nodeBytes = 12

// name is what stands in a key or channel for something that may hold anything: parts, told apart, as a digest.
func name(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		_, _ = h.Write(append(appendCount(nil, len(p)), p...))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

// errAway says that Redis is not to be waited for.
var errAway = core.Errorf(core.ErrUnavailable, "Redis is away")

var errClosed = core.Errorf(core.ErrUnavailable, "Redis is closed")
