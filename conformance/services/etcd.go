package services

import (
	"context"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Etcd is an etcd server with its default limits, of the version that go.mod names.
type Etcd struct {
	Endpoint string // a unix socket

	program, dir string
	mu           sync.Mutex
	server       *process
}

// StartEtcd starts a server on an empty directory and waits until it serves. It ends with the test.
func StartEtcd(t testing.TB) *Etcd {
	t.Helper()
	dir := directory(t)
	e := &Etcd{Endpoint: "unix://" + filepath.Join(dir, "sock"), program: build(t, "etcd", "go.etcd.io/etcd/server/v3"), dir: dir}
	e.start(t)
	t.Cleanup(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.server.kill(t)
	})
	return e
}

// Restart is kill -9, and a new server on what the old one left.
func (e *Etcd) Restart(t testing.TB) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.server.kill(t)
	e.start(t)
}

// Pause stops the server where it stands, until Resume.
func (e *Etcd) Pause(t testing.TB) { t.Helper(); e.server.signal(t, syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (e *Etcd) Resume(t testing.TB) { t.Helper(); e.server.signal(t, syscall.SIGCONT) }

func (e *Etcd) start(t testing.TB) {
	t.Helper()
	log := filepath.Join(e.dir, "log")
	e.server = start(t, log, e.program,
		"--name=test", "--data-dir="+filepath.Join(e.dir, "data"), "--log-level=warn",
		"--listen-client-urls="+e.Endpoint, "--advertise-client-urls="+e.Endpoint,
		// An empty path lets the system choose an abstract socket, where no peer will ever come.
		"--listen-peer-urls=unix://", "--initial-advertise-peer-urls=unix://test", "--initial-cluster=test=unix://test",
		"--heartbeat-interval=10", "--election-timeout=100")
	e.await(t)
}

// await asks until the server answers.
func (e *Etcd) await(t testing.TB) {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{e.Endpoint}, Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: 5 * time.Millisecond, MaxDelay: 5 * time.Millisecond}, MinConnectTimeout: time.Second,
		})},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		ask, cancel := context.WithTimeout(ctx, time.Second)
		_, err := client.Get(ask, "ready")
		cancel()
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("etcd does not serve: %v", err)
		}
	}
}
