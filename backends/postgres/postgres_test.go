package postgres

import (
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dynconfig/dynconfig/conformance"
	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place is where a backend's store is.
type place struct {
	server   *services.Postgres
	database string
}

// places remembers them.
type places struct{ of sync.Map }

func (p *places) connect(t testing.TB, at place) *core.Backend {
	t.Helper()
	b, err := Open(t.Context(), at.server.URL(at.database, "pool_max_conns=4"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	p.of.Store(b, at)
	return b
}

func (p *places) at(b *core.Backend) place {
	at, _ := p.of.Load(b)
	return at.(place)
}

func (p *places) peer(t testing.TB, b *core.Backend) *core.Backend { return p.connect(t, p.at(b)) }

func (p *places) reopen(t testing.TB, b *core.Backend) *core.Backend {
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	return p.connect(t, p.at(b))
}

// shared opens stores in databases of one server, whose connections a Break cuts.
func shared(t testing.TB) (conformance.Opener, conformance.Options) {
	var p places
	server := services.StartPostgres(t)
	open := func(t testing.TB) *core.Backend { return p.connect(t, place{server, server.Database(t)}) }
	return open, conformance.Options{Peer: p.peer, Reopen: p.reopen, Break: func(t testing.TB, b *core.Backend) { server.Cut(t, p.at(b).database) }}
}

// own opens each store on a server of its own, which a Break kills or lets stand still in turn.
func own() (conformance.Opener, conformance.Options) {
	var p places
	breaks := 0
	open := func(t testing.TB) *core.Backend { return p.connect(t, place{services.StartPostgres(t), "postgres"}) }
	return open, conformance.Options{Peer: p.peer, Reopen: p.reopen, Break: func(t testing.TB, b *core.Backend) {
		server := p.at(b).server
		if breaks++; breaks%2 == 1 {
			server.Restart(t)
			return
		}
		server.Pause(t)
		time.Sleep(50 * time.Millisecond) // there is nothing to wait for: it stands still
		server.Resume(t)
	}}
}

func TestConformance(t *testing.T) {
	open, o := shared(t)
	conformance.Run(t, open, o)
}

func TestModel(t *testing.T) {
	open, o := shared(t)
	conformance.RunModel(t, open, o)
}

func TestLinearizable(t *testing.T) {
	open, o := own()
	conformance.RunLinearizable(t, open, o)
}

func BenchmarkStore(b *testing.B) {
	open, o := shared(b)
	conformance.Bench(b, open, o)
}
