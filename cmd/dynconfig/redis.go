package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/dynconfig/dynconfig/backends/redis"
	"github.com/dynconfig/dynconfig/core"
)

// redisSettings are where Redis is and how to get in.
type redisSettings struct {
	hosts              []string // none: there is no Redis
	username, password string
	tls                bool
	prefix             string
}

// joinRedis gives a backend the parts that live in Redis, and returns nil if the settings name none. That it is away does
// not keep a server from starting.
func joinRedis(ctx context.Context, b *core.Backend, s Settings, logger *slog.Logger) (*redis.Redis, error) {
	if len(s.Redis.hosts) == 0 {
		return nil, nil
	}
	if !b.Limits.Shared {
		logger.Warn("Redis carries nothing between servers for backend " + b.Name + ", which serves alone: POSTGRES_URL, ETCD_ENDPOINTS or NATS_URL names a shared one")
	}
	o := redis.Options{Username: s.Redis.username, Password: s.Redis.password, Prefix: s.Redis.prefix, Limit: s.RateLimit, Logger: logger}
	if s.Redis.tls {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	r, err := redis.Open(s.Redis.hosts, o)
	if err != nil {
		return nil, err
	}
	if err := r.Join(ctx, b); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

const redisPort = "6379"

// redisHosts reads host[:port] or the path of a socket, several with commas between them.
func redisHosts(into *[]string) parser {
	read := list(into)
	return func(value any) error {
		if err := read(value); err != nil {
			return err
		}
		for i, host := range *into {
			if filepath.IsAbs(host) && len(*into) == 1 {
				return nil
			}
			name, port, err := net.SplitHostPort(host)
			if err != nil {
				name, port, err = net.SplitHostPort(net.JoinHostPort(strings.Trim(host, "[]"), redisPort))
			}
			if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || name == "" || strings.ContainsAny(name, "/@ ") {
				return fmt.Errorf("is not host[:port], such as redis:6379, or several of a cluster with commas between them")
			}
			(*into)[i] = net.JoinHostPort(name, port)
		}
		return nil
	}
}

var wordPattern = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)

// word reads what may stand in a name elsewhere.
func word(into *string) parser {
	return plain(func(s string) error {
		if *into = s; !wordPattern.MatchString(s) {
			return fmt.Errorf("is %q: it must be 1 to 64 letters, digits and . _ : -", s)
		}
		return nil
	})
}
