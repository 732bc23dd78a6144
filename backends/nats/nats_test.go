package nats

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/dynconfig/dynconfig/conformance"
	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil { // however few processors there are: tests wait for elections most of the time
		panic(err)
	}
	conformance.VerifyMain(m)
}

// patient is how long a call may take in tests that are not about that: longer than a busy machine stands still.
const patient = time.Minute

// deployments opens backends, each with a stream of its own on one server, and remembers where they are.
type deployments struct {
	server *services.Nats
	count  atomic.Int64
	of     sync.Map // deployment by backend
}

type deployment struct {
	server *services.Nats
	prefix string
}

func (d *deployments) connect(t testing.TB, at deployment) *core.Backend {
	t.Helper()
	b, err := Open(t.Context(), Config{URL: at.server.URL, Options: Options{Prefix: at.prefix, SyncAlways: true, Timeout: patient}})
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
	return d.connect(t, deployment{d.server, fmt.Sprintf("test-%03d", d.count.Add(1))})
}

// alone opens one on a server of its own.
func (d *deployments) alone(t testing.TB) *core.Backend {
	return d.connect(t, deployment{services.StartNats(t), ""})
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

func TestConformance(t *testing.T) { // not beside others: it counts goroutines
	d := deployments{server: services.StartNats(t)}
	conformance.Run(t, d.open, d.options())
}

func TestModel(t *testing.T) {
	t.Parallel()
	d := deployments{server: services.StartNats(t)}
	conformance.RunModel(t, d.open, d.options())
}

func TestLinearizable(t *testing.T) {
	t.Parallel()
	d := deployments{server: services.StartNats(t)}
	conformance.RunLinearizable(t, d.open, d.options())
}

func BenchmarkStore(b *testing.B) {
	d := deployments{server: services.StartNats(b)}
	conformance.Bench(b, d.open, d.options())
}

// Beside messages of the same size in a stream of the same server.
func BenchmarkBeside(b *testing.B) {
	d := deployments{server: services.StartNats(b)}
	js := admin(b, d.server.URL)
	if _, err := js.CreateStream(b.Context(), jetstream.StreamConfig{Name: "bare", Subjects: []string{"bare.>"}}); err != nil {
		b.Fatal(err)
	}
	backend := d.open(b)
	defer func() { _ = backend.Close() }()
	conformance.BenchBeside(b, backend, func(ctx context.Context, i int, value []byte) error {
		_, err := js.Publish(ctx, fmt.Sprint("bare.", i%10_000), value)
		return err
	})
}
