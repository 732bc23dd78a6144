package services

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Nats is a NATS server with JetStream, of the version that go.mod names, which syncs every write.
type Nats struct {
	URL string

	program, dir string
	mu           sync.Mutex
	server       *process
}

// StartNats starts a server on an empty directory and waits until JetStream serves. It ends with the test. settings are
// lines of its configuration.
func StartNats(t testing.TB, settings ...string) *Nats {
	t.Helper()
	n := newNats(t, freePort(t), settings...)
	n.Start(t)
	return n
}

// newNats prepares a server. Its name is its port.
func newNats(t testing.TB, port string, settings ...string) *Nats {
	t.Helper()
	dir := directory(t)
	n := &Nats{URL: "nats://127.0.0.1:" + port, program: build(t, "nats-server", "github.com/nats-io/nats-server/v2"), dir: dir}
	lines := append([]string{
		"server_name: n" + port, "listen: 127.0.0.1:" + port,
		fmt.Sprintf("jetstream { store_dir: %q, sync_interval: always, max_file_store: 20GB, max_memory_store: 256MB }", dir),
	}, settings...)
	if err := os.WriteFile(n.config(), []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.server != nil {
			n.server.kill(t)
		}
	})
	return n
}

func (n *Nats) config() string { return filepath.Join(n.dir, "conf") }

// Kill is kill -9.
func (n *Nats) Kill(t testing.TB) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.server.kill(t)
	n.server = nil
}

// Start starts the server on what it left, and waits until it serves.
func (n *Nats) Start(t testing.TB) {
	t.Helper()
	n.begin(t)
	until(t, "NATS does not serve", func(ctx context.Context) error {
		return n.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
			_, err := js.AccountInfo(ctx)
			return err
		})
	})
}

// Restart is kill -9, and a new server on what the old one left.
func (n *Nats) Restart(t testing.TB) {
	t.Helper()
	n.Kill(t)
	n.Start(t)
}

// Pause stops the server where it stands, until Resume.
func (n *Nats) Pause(t testing.TB) { t.Helper(); n.server.signal(t, syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (n *Nats) Resume(t testing.TB) { t.Helper(); n.server.signal(t, syscall.SIGCONT) }

func (n *Nats) begin(t testing.TB) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.server = start(t, filepath.Join(n.dir, "log"), n.program, "-c", n.config())
}

// ask calls the server on a connection of its own.
func (n *Nats) ask(ctx context.Context, call func(context.Context, jetstream.JetStream) error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := nats.Connect(n.URL, nats.NoReconnect())
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	return call(ctx, js)
}

// NatsCluster is three NATS servers that hold a replica of each stream.
type NatsCluster struct {
	Nodes []*Nats
	URL   string // of all
}

// StartNatsCluster starts a cluster and waits until it takes a stream of three replicas. It ends with the test.
func StartNatsCluster(t testing.TB) *NatsCluster {
	t.Helper()
	const nodes = 3
	c := &NatsCluster{}
	var routes, urls []string
	for range nodes {
		routes = append(routes, freePort(t))
	}
	for _, route := range routes {
		n := newNats(t, freePort(t), fmt.Sprintf("cluster { name: test, listen: \"127.0.0.1:%s\", routes: [ nats://127.0.0.1:%s ] }",
			route, strings.Join(routes, ", nats://127.0.0.1:")))
		c.Nodes, urls = append(c.Nodes, n), append(urls, n.URL)
	}
	c.URL = strings.Join(urls, ",")
	for _, n := range c.Nodes {
		n.begin(t)
	}
	for _, n := range c.Nodes {
		c.await(t, n)
	}
	return c
}

// await waits until a server takes part in a stream of three replicas.
func (c *NatsCluster) await(t testing.TB, n *Nats) {
	t.Helper()
	until(t, "the NATS cluster does not form", func(ctx context.Context) error {
		return n.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
			_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "ready", Replicas: len(c.Nodes)})
			return errors.Join(err, js.DeleteStream(ctx, "ready"))
		})
	})
}

// Leader returns the server that leads a stream.
func (c *NatsCluster) Leader(t testing.TB, stream string) *Nats {
	t.Helper()
	name := ""
	until(t, "the stream has no leader", func(ctx context.Context) error {
		for _, n := range c.Nodes {
			err := n.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
				s, err := js.Stream(ctx, stream)
				if err == nil {
					name = s.CachedInfo().Cluster.Leader
				}
				return err
			})
			if err == nil && name != "" {
				return nil
			}
		}
		return errors.New("no leader")
	})
	for _, n := range c.Nodes {
		if strings.HasSuffix(n.URL, ":"+strings.TrimPrefix(name, "n")) {
			return n
		}
	}
	t.Fatalf("nobody is %q", name)
	return nil
}
