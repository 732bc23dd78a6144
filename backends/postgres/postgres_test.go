package postgres

import (
	"crypto/rand"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/conformance"
	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

func TestMain(m *testing.M) { conformance.VerifyMain(m) }

// patience is how long a test waits for what must happen, however busy the machine is.
const patience = time.Minute

// patient is a connection string and options by which no call of a server that is there ends for want of time.
func patient(url string, o Options) (string, Options) {
	if o.Timeout == 0 {
		o.Timeout = patience
	}
	return url + "&" + strings.Join([]string{
		"connect_timeout=60", "statement_timeout=60s", "idle_in_transaction_session_timeout=60s",
	}, "&"), o
}

// place is where a backend's store is.
type place struct {
	server   *services.Postgres
	database string
}

// places remembers them.
type places struct{ of sync.Map }

func (p *places) connect(t testing.TB, at place) *core.Backend {
	t.Helper()
	url, o := patient(at.server.URL(at.database, "pool_max_conns=4"), Options{})
	b, err := Open(t.Context(), url, o)
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

// Group commit has to make up for what a log, a history and memory of IDs cost beside a bare row.
func BenchmarkBesidePgbench(b *testing.B) {
	server := services.StartPostgres(b)
	var p places
	backend := p.connect(b, place{server, server.Database(b)})
	defer func() { _ = backend.Close() }()
	var i atomic.Int64
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := i.Add(1)
			_, err := backend.Store.Commit(b.Context(), core.Txn{
				Meta: core.Meta{ID: rand.Text(), Author: "tester"},
				Ops:  []core.Op{{Key: core.Key("bench." + strconv.FormatInt(n%10_000, 10)), Do: core.OpPut, Doc: core.Doc{Value: make([]byte, 200)}}},
			})
			if err != nil {
				b.Error(err)
			}
		}
	})
	ours := float64(b.N) / b.Elapsed().Seconds()
	b.StopTimer()
	bare := server.Upserts(b, 64, b.Elapsed())
	b.ReportMetric(ours, "commits/s")
	b.ReportMetric(bare, "upserts/s")
	b.ReportMetric(ours/bare, "ratio")
}

func BenchmarkStore(b *testing.B) {
	open, o := shared(b)
	conformance.Bench(b, open, o)
}
