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
	if err := c.check(); err != nil {
		return nil, err
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: c.Endpoints, TLS: c.TLS, Username: c.User, Password: c.Password, Context: context.WithoutCancel(ctx),
		DialTimeout: defaultTimeout, DialKeepAliveTime: quiet, DialKeepAliveTimeout: silent,
		PermitWithoutStream: true, Logger: zap.NewNop(),
		MaxCallSendMsgSize: c.Request.withDefaults().Bytes + 512<<10, // etcd's own room for what is around a request
		DialOptions:        []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: defaultTimeout})},
	})
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

// unreachable names the endpoints where nobody answered.
func (c Config) unreachable(err error) error {
	if !errors.Is(err, errAway) {
		return err
	}
	return core.Errorf(core.ErrUnavailable, "etcd does not answer at %s", strings.Join(c.Endpoints, ", ")).Because(err)
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
