package redis

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/conformance"
	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

func TestMain(m *testing.M) { conformance.VerifyMain(m) }

const testLimit = 100

// patience is how long a test waits for what must happen, however busy the machine is.
const patience = time.Minute

// patient are options by which a Redis that is there is never held to be away, and a lease that is used never ends, where
// a test does not say otherwise.
func patient(o Options) Options {
	if o.Timeout == 0 {
		o.Timeout = patience
	}
	if o.Lease == 0 {
		o.Lease = 10 * time.Minute
	}
	return o
}

// nodes remembers what the backends of a test are made of: a store in memory, and a Redis.
type nodes struct{ of sync.Map }

type parts struct {
	store *memory.Store
	redis *services.Redis
}

// open makes a node of a new deployment with a Redis of its own.
func (n *nodes) open(t testing.TB) *core.Backend {
	return n.join(t, memory.Open(memory.Options{Shared: true}), services.StartRedis(t))
}

func (n *nodes) join(t testing.TB, b *core.Backend, server *services.Redis) *core.Backend {
	t.Helper()
	store := b.Store.(*memory.Store)
	join(t, b, []string{server.Addr}, Options{Limit: testLimit})
	n.of.Store(b, parts{store, server})
	return b
}

// join puts a node's part of a Redis at a backend.
func join(t testing.TB, b *core.Backend, addrs []string, o Options) *Redis {
	t.Helper()
	r, err := Open(addrs, patient(o))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Join(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	return r
}

func (n *nodes) parts(b *core.Backend) parts {
	p, _ := n.of.Load(b)
	return p.(parts)
}

// options are those of a deployment whose Redis forgets everything now and then, and whose store does not.
func (n *nodes) options() conformance.Options {
	peer := func(t testing.TB, b *core.Backend) *core.Backend {
		p := n.parts(b)
		return n.join(t, p.store.Peer(), p.redis)
	}
	return conformance.Options{
		Peer: peer,
		Reopen: func(t testing.TB, b *core.Backend) *core.Backend {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			return peer(t, b)
		},
		Break: func(t testing.TB, b *core.Backend) { n.parts(b).redis.Restart(t) },
	}
}

func TestConformance(t *testing.T) {
	var n nodes
	conformance.Run(t, n.open, n.options())
}

func TestLinearizable(t *testing.T) {
	var n nodes
	conformance.RunLinearizable(t, n.open, n.options())
}

func TestConformanceOnACluster(t *testing.T) {
	cluster := services.StartRedisCluster(t)
	var stores sync.Map
	var prefixes sync.Map
	connect := func(t testing.TB, b *core.Backend, prefix string) *core.Backend {
		stores.Store(b, b.Store)
		prefixes.Store(b, prefix)
		join(t, b, cluster.Addrs(), Options{Limit: testLimit, Prefix: prefix})
		return b
	}
	open := func(t testing.TB) *core.Backend {
		return connect(t, memory.Open(memory.Options{Shared: true}), t.Name())
	}
	conformance.Run(t, open, conformance.Options{Peer: func(t testing.TB, b *core.Backend) *core.Backend {
		store, _ := stores.Load(b)
		prefix, _ := prefixes.Load(b)
		return connect(t, store.(*memory.Store).Peer(), prefix.(string))
	}})
}
