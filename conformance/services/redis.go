package services

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// Redis is a Redis server that keeps everything in memory: what a restart leaves is nothing.
type Redis struct {
	Addr string // a unix socket, or host:port

	reach  redis.Options // by its clients
	mu     sync.Mutex
	server server
}

// redisMemory are the settings by which a server keeps everything in memory.
var redisMemory = []string{"--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "warning"}

// StartRedis starts a server, on a unix socket or in a container, and waits until it serves. It ends with the test.
// Settings are those of redis-server, such as "--maxmemory", "1mb".
func StartRedis(t testing.TB, settings ...string) *Redis {
	t.Helper()
	c := newContainer(t, container{
		Image: redisImage, Port: "6379/tcp",
		Command: slices.Concat([]string{"redis-server", "--protected-mode", "no"}, redisMemory, settings),
	})
	if c != nil {
		return beginRedis(t, c, redis.Options{Addr: c.address})
	}
	dir := directory(t)
	addr := filepath.Join(dir, "sock")
	return startRedis(t, dir, redis.Options{Addr: addr}, append([]string{"--port", "0", "--unixsocket", addr}, settings...)...)
}

// StartRedisTLS starts a server of this machine on a port of 127.0.0.1 that speaks TLS alone and knows one user. Certificate and key are
// PEM files; roots are what a client trusts, rights what the user may do.
func StartRedisTLS(t testing.TB, certificate, key string, roots *x509.CertPool, username, password string, rights ...string) *Redis {
	t.Helper()
	port := FreePort(t)
	o := redis.Options{
		Addr: net.JoinHostPort("127.0.0.1", port), Username: username, Password: password,
		TLSConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
	args := []string{
		"--bind", "127.0.0.1", "--port", "0", "--tls-port", port, "--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no",
		"--user", "default", "off", "--user", username, "on", ">" + password,
	}
	return startRedis(t, directory(t), o, append(args, rights...)...)
}

// startRedis starts a server of this machine that is reached by o.
func startRedis(t testing.TB, dir string, o redis.Options, args ...string) *Redis {
	t.Helper()
	name, args := installed(t, "redis-server", "redis-server"), slices.Concat([]string{"--dir", dir}, redisMemory, args)
	return beginRedis(t, &program{log: filepath.Join(dir, "log"), command: func() *exec.Cmd {
		cmd := exec.Command(name, args...)
		dieWithParent(cmd)
		return cmd
	}}, o)
}

// beginRedis starts a server and has it end with the test.
func beginRedis(t testing.TB, s server, o redis.Options) *Redis {
	t.Helper()
	r := &Redis{Addr: o.Addr, server: s, reach: o}
	r.Start(t)
	t.Cleanup(func() { r.Kill(t) })
	return r
}

// Start starts a killed server again, empty.
func (r *Redis) Start(t testing.TB) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.server.start(t)
	r.await(t)
}

// Kill is kill -9.
func (r *Redis) Kill(t testing.TB) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.server.kill(t)
}

// Restart is kill -9, and a new server that has forgotten everything.
func (r *Redis) Restart(t testing.TB) {
	t.Helper()
	r.Kill(t)
	r.Start(t)
}

// Pause stops the server where it stands, until Resume: connections stay, and nothing is answered.
func (r *Redis) Pause(t testing.TB) { t.Helper(); r.server.pause(t) }

// Resume lets a paused server go on.
func (r *Redis) Resume(t testing.TB) { t.Helper(); r.server.resume(t) }

// Client returns a connection of a test's own, which ends with it.
func (r *Redis) Client(t testing.TB) *redis.Client {
	t.Helper()
	o := r.reach
	o.Protocol = 2
	client := redis.NewClient(&o)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// await asks until the server answers.
func (r *Redis) await(t testing.TB) {
	t.Helper()
	logging.Disable()
	o := r.reach
	o.Protocol, o.MaxRetries, o.DialerRetries = 2, -1, 1
	client := redis.NewClient(&o)
	defer func() { _ = client.Close() }()
	until(t, "redis-server does not serve", func(ctx context.Context) error { return client.Ping(ctx).Err() })
}

// until asks again and again until there is no error, for longer than any machine should need.
func until(t testing.TB, complaint string, ask func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	for {
		err := ask(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", complaint, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
