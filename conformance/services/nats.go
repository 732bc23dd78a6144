package services

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Nats is a NATS server with JetStream, of the version that go.mod names, which syncs every write.
type Nats struct {
	URL string

	dir     string
	options []nats.Option // that a client of it needs
	mu      sync.Mutex
	server  server
}

// StartNats starts a server on an empty directory, as a process or in a container, and waits until JetStream serves. It
// ends with the test. settings are lines of its configuration.
func StartNats(t testing.TB, settings ...string) *Nats {
	t.Helper()
	n := newContainerNats(t, settings)
	if n == nil {
		n = newNats(t, FreePort(t), settings...)
	}
	n.Start(t)
	return n
}

// StartNatsTLS starts a process that speaks TLS alone, with a certificate and a key for 127.0.0.1, and that demands a
// certificate of the same authority from its clients.
func StartNatsTLS(t testing.TB, ca, certificate, key string, settings ...string) *Nats {
	t.Helper()
	n := newNats(t, FreePort(t), append([]string{fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, verify: true }", certificate, key, ca)}, settings...)...)
	n.URL = strings.Replace(n.URL, "nats://", "tls://", 1)
	n.options = []nats.Option{nats.RootCAs(ca), nats.ClientCert(certificate, key)}
	n.Start(t)
	return n
}

// natsConfig is the configuration of a server.
func natsConfig(name, listen, store string, settings []string) string {
	return strings.Join(append([]string{
		"server_name: " + name, "listen: " + listen,
		fmt.Sprintf("jetstream { store_dir: %q, sync_interval: always, max_file_store: 20GB, max_memory_store: 256MB }", store),
	}, settings...), "\n")
}

// newContainerNats starts a server in a container, whose data is a directory of this machine, or returns nil where there is
// no container to be had.
func newContainerNats(t testing.TB, settings []string) *Nats {
	t.Helper()
	n := &Nats{dir: directory(t)}
	c := newContainer(t, container{
		Image: natsImage, Port: "4222/tcp", Binds: []string{n.dir + ":/nats-data"},
		Files:   map[string]string{"/nats.conf": natsConfig("test", "0.0.0.0:4222", "/nats-data", settings)},
		Command: []string{"-c", "/nats.conf"},
	})
	if c == nil {
		return nil
	}
	n.server, n.URL = c, "nats://"+c.address
	return n
}

// newNats prepares a process. Its name is its port.
func newNats(t testing.TB, port string, settings ...string) *Nats {
	t.Helper()
	dir := directory(t)
	n := &Nats{URL: "nats://127.0.0.1:" + port, dir: dir}
	path, config := build(t, "nats-server", "github.com/nats-io/nats-server/v2"), filepath.Join(dir, "conf")
	if err := os.WriteFile(config, []byte(natsConfig("n"+port, "127.0.0.1:"+port, dir, settings)), 0o600); err != nil {
		t.Fatal(err)
	}
	n.server = &program{log: filepath.Join(dir, "log"), command: func() *exec.Cmd {
		cmd := exec.Command(path, "-c", config)
		dieWithParent(cmd)
		return cmd
	}}
	t.Cleanup(func() { n.Kill(t) })
	return n
}

// Kill is kill -9.
func (n *Nats) Kill(t testing.TB) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.server.kill(t)
}

// Backup copies what a killed server left, and returns a function that puts it back in the place of what is there then.
func (n *Nats) Backup(t testing.TB) (restore func()) {
	t.Helper()
	copied := filepath.Join(n.dir, "backup")
	store := filepath.Join(n.dir, "jetstream")
	if err := os.CopyFS(copied, os.DirFS(store)); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := errors.Join(os.RemoveAll(store), os.Rename(copied, store)); err != nil {
			t.Fatal(err)
		}
	}
}

// Start starts the server on what it left, and waits until it serves.
func (n *Nats) Start(t testing.TB) {
	t.Helper()
	n.begin(t)
	until(t, "NATS does not serve", func(ctx context.Context) error {
		err := n.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
			_, err := js.AccountInfo(ctx)
			return err
		})
		if errors.Is(err, nats.ErrAuthorization) { // it serves, but not us
			return nil
		}
		return err
	})
}

// Restart is kill -9, and a new server on what the old one left.
func (n *Nats) Restart(t testing.TB) {
	t.Helper()
	n.Kill(t)
	n.Start(t)
}

// Pause stops the server where it stands, until Resume.
func (n *Nats) Pause(t testing.TB) { t.Helper(); n.server.pause(t) }

// Resume lets a paused server go on.
func (n *Nats) Resume(t testing.TB) { t.Helper(); n.server.resume(t) }

func (n *Nats) begin(t testing.TB) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.server.start(t)
}

// ask calls the server on a connection of its own.
func (n *Nats) ask(ctx context.Context, call func(context.Context, jetstream.JetStream) error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := nats.Connect(n.URL, append(n.options, nats.NoReconnect())...)
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
		routes = append(routes, FreePort(t))
	}
	for _, route := range routes {
		n := newNats(t, FreePort(t), fmt.Sprintf("cluster { name: test, listen: \"127.0.0.1:%s\", routes: [ nats://127.0.0.1:%s ] }",
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

// await waits until a server takes part in a stream of three replicas. Each step may be asked for again.
func (c *NatsCluster) await(t testing.TB, n *Nats) {
	t.Helper()
	const stream = "ready"
	steps := []func(context.Context, jetstream.JetStream) error{
		func(ctx context.Context, js jetstream.JetStream) error {
			_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: stream, Replicas: len(c.Nodes)})
			return err
		},
		func(ctx context.Context, js jetstream.JetStream) error {
			if err := js.DeleteStream(ctx, stream); !errors.Is(err, jetstream.ErrStreamNotFound) {
				return err
			}
			return nil
		},
	}
	for _, step := range steps {
		until(t, "the NATS cluster does not form", func(ctx context.Context) error { return n.ask(ctx, step) })
	}
}

// Except is the cluster without one of its servers.
func (c *NatsCluster) Except(one *Nats) *NatsCluster {
	return &NatsCluster{URL: c.URL, Nodes: slices.DeleteFunc(slices.Clone(c.Nodes), func(n *Nats) bool { return n == one })}
}

// Leader returns the server that leads a stream. One that is not in the cluster may be named a while longer.
func (c *NatsCluster) Leader(t testing.TB, stream string) *Nats {
	t.Helper()
	var leader *Nats
	until(t, "the stream has no leader", func(ctx context.Context) (err error) {
		for _, n := range c.Nodes {
			err = n.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
				s, err := js.Stream(ctx, stream)
				if err == nil {
					leader = c.named(s.CachedInfo().Cluster.Leader)
				}
				return err
			})
			if leader != nil {
				return nil
			}
		}
		return errors.Join(errors.New("nobody leads"), err)
	})
	return leader
}

// named returns the server of a name, nil if there is none.
func (c *NatsCluster) named(name string) *Nats {
	for _, n := range c.Nodes {
		if strings.HasSuffix(n.URL, ":"+strings.TrimPrefix(name, "n")) {
			return n
		}
	}
	return nil
}
