package etcd

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/dynconfig/dynconfig/conformance"
	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil { // however few processors there are: tests wait for servers most of the time
		panic(err)
	}
	conformance.VerifyMain(m)
}

// patient is how long a call may take in tests that are not about that: longer than a busy machine stands still.
const patient = time.Minute

// deployments opens backends, each below a prefix of its own on one server, and remembers where they are.
type deployments struct {
	server *services.Etcd
	count  atomic.Int64
	of     sync.Map // deployment by backend
}

type deployment struct {
	server *services.Etcd
	prefix string
}

func (d *deployments) connect(t testing.TB, at deployment) *core.Backend {
	t.Helper()
	b, err := Open(t.Context(), Config{Endpoints: []string{at.server.Endpoint}, Options: Options{Prefix: at.prefix, Timeout: patient}})
	if err != nil {
		t.Fatal(err)
	}
	d.of.Store(b, at)
	return b
}

func (d *deployments) at(b *core.Backend) deployment {
	at, _ := d.of.Load(b)
	return at.(deployment)
}

// open opens a fresh deployment on the server that all share.
func (d *deployments) open(t testing.TB) *core.Backend {
	return d.connect(t, deployment{d.server, fmt.Sprintf("test/%03d/", d.count.Add(1))})
}

// alone opens one on a server of its own.
func (d *deployments) alone(t testing.TB) *core.Backend {
	return d.connect(t, deployment{services.StartEtcd(t), ""})
}

func (d *deployments) options() conformance.Options {
	return conformance.Options{
		Alone: d.alone,
		Peer:  func(t testing.TB, b *core.Backend) *core.Backend { return d.connect(t, d.at(b)) },
		Reopen: func(t testing.TB, b *core.Backend) *core.Backend {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			d.at(b).server.Restart(t)
			return d.connect(t, d.at(b))
		},
		Break: func(t testing.TB, b *core.Backend) { d.at(b).server.Restart(t) },
	}
}

func TestConformance(t *testing.T) {
	d := deployments{server: services.StartEtcd(t)}
	conformance.Run(t, d.open, d.options())
}

func TestModel(t *testing.T) {
	t.Parallel()
	d := deployments{server: services.StartEtcd(t)}
	conformance.RunModel(t, d.open, d.options())
}

func TestLinearizable(t *testing.T) {
	t.Parallel()
	d := deployments{server: services.StartEtcd(t)}
	conformance.RunLinearizable(t, d.open, d.options())
}

func BenchmarkStore(b *testing.B) {
	d := deployments{server: services.StartEtcd(b)}
	conformance.Bench(b, d.open, d.options())
}

// Beside puts of the same size on the same server.
func BenchmarkBeside(b *testing.B) {
	d := deployments{server: services.StartEtcd(b)}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{d.server.Endpoint}, Logger: zap.NewNop()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	backend := d.open(b)
	defer func() { _ = backend.Close() }()
	conformance.BenchBeside(b, backend, func(ctx context.Context, i int, value []byte) error {
		_, err := client.Put(ctx, fmt.Sprint("bare/", i%10_000), string(value))
		return err
	})
}
