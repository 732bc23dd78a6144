package services

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// EtcdVariable names the environment variable with the path of an etcd program to use instead of the version that go.mod
// names, which is how other versions are tried by hand.
const EtcdVariable = "DYNCONFIG_TEST_ETCD"

// Etcd is an etcd server with its default limits. But for benchmarks it leaves it to the system when to write to the disk:
// what was written survives kill -9 all the same, and etcd gives up what a busy disk does not take within 5 s.
type Etcd struct {
	Endpoint string // a unix socket, or with TLS a port of this machine

	dir, name string
	tls       bool
	mu        sync.Mutex
	server    server
}

// StartEtcd starts a server on an empty directory, as a process or in a container, with further arguments if there are some,
// and waits until it serves. It ends with the test.
func StartEtcd(t testing.TB, args ...string) *Etcd {
	t.Helper()
	args = slices.Concat(alone, syncing(t), args)
	if os.Getenv(EtcdVariable) == "" {
		if e := newContainerEtcd(t, args); e != nil {
			return e
		}
	}
	e := newEtcd(t, directory(t), "test", args)
	e.Start(t)
	return e
}

// alone are the arguments of a cluster of one. An empty path lets the system choose an abstract socket, where no peer will
// ever come.
var alone = []string{
	"--listen-peer-urls=unix://", "--initial-advertise-peer-urls=unix://test:1", "--initial-cluster=test=unix://test:1",
	"--heartbeat-interval=10", "--election-timeout=100",
}

// syncing are the arguments that say whether to wait for the disk.
func syncing(t testing.TB) []string {
	if _, measures := t.(*testing.B); measures {
		return nil
	}
	return []string{"--unsafe-no-fsync"}
}

// StartEtcdTLS is StartEtcd for a process that speaks TLS on a port, with a certificate and a key for 127.0.0.1, and that
// demands a certificate of the same authority from its clients. Its Endpoint is another one after a restart.
func StartEtcdTLS(t testing.TB, ca, cert, key string) *Etcd {
	t.Helper()
	e := newEtcd(t, directory(t), "test", append(slices.Concat(alone, syncing(t)),
		"--listen-client-urls=https://127.0.0.1:0", "--advertise-client-urls=https://127.0.0.1:0", "--log-level=info",
		"--client-cert-auth", "--trusted-ca-file="+ca, "--cert-file="+cert, "--key-file="+key))
	e.tls = true
	e.Start(t)
	return e
}

func newEtcd(t testing.TB, dir, name string, args []string) *Etcd {
	t.Helper()
	path := os.Getenv(EtcdVariable)
	if path == "" {
		path = build(t, "etcd", "go.etcd.io/etcd/server/v3")
	}
	e := &Etcd{Endpoint: "unix://" + filepath.Join(dir, name+".sock"), dir: dir, name: name}
	args = append([]string{
		"--name=" + name, "--data-dir=" + e.Data(), "--log-level=warn",
		"--listen-client-urls=" + e.Endpoint, "--advertise-client-urls=unix://" + name + ":2", // nobody looks for it
	}, args...)
	e.server = &program{log: e.log(), command: func() *exec.Cmd {
		cmd := exec.Command(path, args...)
		cmd.Dir = e.dir // where peers find each other's sockets
		dieWithParent(cmd)
		_ = os.Remove(e.log())
		return cmd
	}}
	t.Cleanup(func() { e.Kill(t) })
	return e
}

// newContainerEtcd starts a server in a container, whose data is a directory of this machine, or returns nil where there
// is no container to be had.
func newContainerEtcd(t testing.TB, args []string) *Etcd {
	t.Helper()
	e := &Etcd{dir: directory(t), name: "test"}
	if err := os.Mkdir(e.Data(), 0o700); err != nil {
		t.Fatal(err)
	}
	c := newContainer(t, container{
		Image: etcdImage, Port: "2379/tcp", Binds: []string{e.Data() + ":/etcd-data"},
		Command: append([]string{
			"/usr/local/bin/etcd", "--name=test", "--data-dir=/etcd-data", "--log-level=warn",
			"--listen-client-urls=http://0.0.0.0:2379", "--advertise-client-urls=http://127.0.0.1:2379",
		}, args...),
	})
	if c == nil {
		return nil
	}
	e.server, e.Endpoint = c, "http://"+c.address
	e.await(t)
	return e
}

// Restart is kill -9, and a new server on what the old one left.
func (e *Etcd) Restart(t testing.TB) {
	t.Helper()
	e.Kill(t)
	e.Start(t)
}

// Kill is kill -9. A server that is dead stays so.
func (e *Etcd) Kill(t testing.TB) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.server.kill(t)
}

// Start starts a server that was killed, and waits until it serves.
func (e *Etcd) Start(t testing.TB) {
	t.Helper()
	e.launch(t)
	e.await(t)
}

// Pause stops the server where it stands, until Resume.
func (e *Etcd) Pause(t testing.TB) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.server.pause(t)
}

// Resume lets a paused server go on.
func (e *Etcd) Resume(t testing.TB) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.server.resume(t)
}

// Data is the directory in which the server keeps everything.
func (e *Etcd) Data() string { return filepath.Join(e.dir, e.name) }

func (e *Etcd) log() string { return filepath.Join(e.dir, e.name+".log") }

// launch starts the server, which need not serve yet.
func (e *Etcd) launch(t testing.TB) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.server.start(t)
}

// startTime is how long a server may take until it serves.
const startTime = 3 * time.Minute

// await waits until the server answers.
func (e *Etcd) await(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	if e.tls {
		e.awaitAddress(ctx, t)
		return
	}
	client := connect(t, e.Endpoint)
	defer func() { _ = client.Close() }()
	for {
		ask, cancel := context.WithTimeout(ctx, time.Second)
		_, err := client.Get(ask, "ready")
		cancel()
		if err == nil || errors.Is(err, rpctypes.ErrUserEmpty) {
			return
		}
		if ctx.Err() != nil {
			said, _ := os.ReadFile(e.log())
			t.Fatalf("etcd does not serve: %v\n%s", err, said)
		}
	}
}

// awaitAddress reads in the log where the server listens, which it says when it serves.
func (e *Etcd) awaitAddress(ctx context.Context, t testing.TB) {
	t.Helper()
	for ctx.Err() == nil {
		f, err := os.Open(e.log())
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var line struct{ Msg, Address string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving client traffic securely" {
				e.Endpoint = "https://" + line.Address
				_ = f.Close()
				return
			}
		}
		_ = f.Close()
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatal("etcd does not serve")
}

// connect returns a client that tries again soon.
func connect(t testing.TB, endpoints ...string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{
		Endpoints: endpoints, Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: 5 * time.Millisecond, MaxDelay: 5 * time.Millisecond}, MinConnectTimeout: time.Second,
		})},
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}
