package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/dynconfig/dynconfig/core"
)

// Config says where etcd is. Endpoints is required: the more members it names, the more may be away.
type Config struct {
	Endpoints []string
	TLS       *tls.Config // nil: none but the system's authorities, for https://
	User      string
	Password  string
	Options
}

// reconnect is how soon a lost connection is tried again: by default it may take two minutes.
var reconnect = backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second}

// A connection over which nothing comes back is given up after the sum of these. gRPC does not ask sooner.
const (
	quiet  = 10 * time.Second
	silent = 3 * time.Second
)

// Open connects to etcd and returns the backend. Closing the backend closes the connection.
func Open(ctx context.Context, c Config) (*core.Backend, error) {
	err := c.check()
	if err != nil {
		return nil, err
	}
	if c.Options, err = c.withDefaults(); err != nil {
		return nil, err
	}
	if err := c.reach(ctx); err != nil {
		return nil, err
	}
	config := c.client(ctx)
	config.Username, config.Password = c.User, c.Password
	client, err := clientv3.New(config)
	if err != nil {
		return nil, c.unreachable(fault(err))
	}
	b, err := New(ctx, client, c.Options)
	if err != nil {
		_ = client.Close() // nothing was begun
		return nil, c.unreachable(err)
	}
	end := b.Close
	b.Close = sync.OnceValue(func() error {
		err := end()
		_ = client.Close() // reports its own cancellation
		return err
	})
	return b, nil
}

// client is how to connect, for nobody in particular.
func (c Config) client(ctx context.Context) clientv3.Config {
	return clientv3.Config{
		Endpoints: c.Endpoints, TLS: c.TLS, Context: context.WithoutCancel(ctx),
		DialTimeout: c.Timeout, DialKeepAliveTime: quiet, DialKeepAliveTimeout: silent,
		PermitWithoutStream: true, Logger: zap.NewNop(),
		MaxCallSendMsgSize: c.Request.Bytes + 512<<10, // etcd's own room for what is around a request
		DialOptions:        []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: defaultTimeout})},
	}
}

// reach waits until etcd answers anything at all. It knows why if it does not: etcd's client waits for a connection and then
// says only that it took too long.
func (c Config) reach(ctx context.Context) error {
	config := c.client(ctx)
	config.DialOptions = append(config.DialOptions, grpc.WithChainUnaryInterceptor(doNotWait))
	client, err := clientv3.New(config)
	if err != nil {
		return c.unreachable(fault(err))
	}
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	var reason error
	for {
		one, cancel := context.WithTimeout(ctx, firstWait)
		_, err := client.Txn(one).Then(clientv3.OpGet(defaultPrefix)).Commit()
		late := one.Err() != nil
		cancel()
		if err == nil || !errors.Is(fault(err), errAway) {
			return nil // also where it says that it knows no such user
		}
		if reason == nil || !late {
			reason = err
		}
		select {
		case <-ctx.Done():
			return c.unreachable(fault(reason))
		case <-time.After(reconnect.BaseDelay):
		}
	}
}

// doNotWait has calls fail when there is no connection.
func doNotWait(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
	return invoke(ctx, method, req, reply, conn, append(o, grpc.WaitForReady(false))...)
}

// unreachable names the endpoints where nobody answered.
func (c Config) unreachable(err error) error {
	if !errors.Is(err, errAway) {
		return err
	}
	return core.Errorf(core.ErrUnavailable, "etcd does not answer at %s", strings.Join(c.Endpoints, ", ")).Because(errors.Unwrap(err))
}

// check finds what the client would not: a secret in an address, and connections that are not as secret as they are meant.
func (c Config) check() error {
	if len(c.Endpoints) == 0 {
		return core.Errorf(core.ErrInvalid, "etcd has no endpoint")
	}
	plain := 0
	for _, e := range c.Endpoints {
		scheme, host, ok := strings.Cut(e, "://")
		if !ok {
			scheme, host = "", e
		}
		switch scheme {
		case "", "http", "https", "unix", "unixs":
		default:
			return core.Errorf(core.ErrInvalid, "etcd endpoint is neither host:port nor http, https, unix or unixs")
		}
		if strings.Contains(host, "@") {
			return core.Errorf(core.ErrInvalid, "etcd endpoint holds a user: say it apart from the address")
		}
		if scheme == "http" || c.TLS == nil && scheme != "https" && scheme != "unixs" {
			plain++
		}
	}
	switch {
	case plain > 0 && plain < len(c.Endpoints):
		return core.Errorf(core.ErrInvalid, "etcd endpoints are partly with TLS and partly without")
	case plain > 0 && c.TLS != nil:
		return core.Errorf(core.ErrInvalid, "etcd endpoints are without TLS although there is a certificate for it: write https://")
	case (c.User == "") != (c.Password == ""):
		return core.Errorf(core.ErrInvalid, "etcd user and password belong together")
	}
	return nil
}
