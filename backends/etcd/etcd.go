// Package etcd keeps the commit log, the table of the present and every key's history in etcd, and listens to the log
// through a watch. A node evaluates a batch of transactions over what it read; one etcd transaction then compares the
// head record alone and writes everything, so that batches of all nodes stand in one order.
package etcd

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/dynconfig/dynconfig/core"
)

// Config says where etcd is. Endpoints is required.
type Config struct {
	Endpoints []string
	TLS       *tls.Config
	User      string
	Password  string
	Options
}

// Options are how a Store uses its client; the zero value works.
type Options struct {
	Name    string        // of the backend; "": etcd
	Prefix  string        // of every key in etcd; "": dynconfig/
	Timeout time.Duration // of one request; 0: 5 s
	// Limits of a transaction; zero: what a server with its default settings takes (128 operations and 1.5 MiB a request).
	Limits core.Limits
	// Now decides how long a Meta.ID is remembered; nil: time.Now.
	Now func() time.Time
	// Refuse is asked before every commit; nil: nothing is refused.
	Refuse func() error
}

// Defaults of Options. A transaction of n operations takes 2n+3 of etcd's.
const (
	defaultPrefix  = "dynconfig/"
	defaultTimeout = 5 * time.Second
	defaultMaxOps  = 62
)

// reconnect is how soon a lost connection is tried again: by default it may take two minutes.
var reconnect = backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second}

// Open connects to etcd and returns the backend. Closing the backend closes the connection.
func Open(ctx context.Context, c Config) (*core.Backend, error) {
	client, err := clientv3.New(clientv3.Config{
		Endpoints: c.Endpoints, TLS: c.TLS, Username: c.User, Password: c.Password,
		DialTimeout: defaultTimeout, DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 3 * time.Second,
		PermitWithoutStream: true, Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: defaultTimeout})},
	})
	if err != nil {
		return nil, core.Errorf(core.ErrUnavailable, "etcd does not answer at %s", strings.Join(c.Endpoints, ", ")).Because(err)
	}
	b, err := New(ctx, client, c.Options)
	if err != nil {
		_ = client.Close() // nothing was begun
		return nil, err
	}
	end := b.Close
	b.Close = sync.OnceValue(func() error {
		err := end()
		_ = client.Close() // reports its own cancellation
		return err
	})
	return b, nil
}

// New returns a backend over a client, which stays the caller's: it is closed after the backend.
func New(ctx context.Context, client *clientv3.Client, o Options) (*core.Backend, error) {
	if o.Name == "" {
		o.Name = "etcd"
	}
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Limits == (core.Limits{}) {
		o.Limits = core.Limits{MaxOps: defaultMaxOps, MaxBytes: core.MinBytes, Shared: true, Durable: true}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Refuse == nil {
		o.Refuse = func() error { return nil }
	}
	s := &Store{client: client, keys: layout{o.Prefix}, timeout: o.Timeout, limits: o.Limits, refuse: o.Refuse}
	s.writer = newWriter(s, o.Now)
	s.group = core.NewGroup(o.Limits, s.writer.batch)
	if err := s.createEpoch(ctx); err != nil {
		s.group.Close()
		return nil, err
	}
	bus := newBus(s)
	return &core.Backend{
		Name: o.Name, Store: s, Bus: bus, Limits: o.Limits,
		Close: sync.OnceValue(func() error {
			s.closed.Store(true)
			s.group.Close()
			bus.close()
			return nil
		}),
	}, nil
}

// createEpoch gives a new store its identity. Of several nodes that try at once, one wins.
func (s *Store) createEpoch(ctx context.Context) error {
	key := s.keys.epoch()
	id := strings.ToLower(rand.Text()[:12])
	r, err := s.txn(ctx, []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(key), "=", 0)},
		[]clientv3.Op{clientv3.OpPut(key, id)}, []clientv3.Op{clientv3.OpGet(key)})
	if err != nil {
		return err
	}
	if !r.Succeeded {
		id = string(r.Responses[0].GetResponseRange().Kvs[0].Value)
	}
	s.epoch = id + clusterID(r.Header.ClusterId)
	return nil
}
