package nats

import (
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/dynconfig/dynconfig/conformance"
	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// servers remembers which server a backend is connected to.
type servers struct{ of sync.Map }

func (s *servers) connect(t testing.TB, n *services.Nats) *core.Backend {
	t.Helper()
	b, err := Open(t.Context(), Config{URL: n.URL, Options: Options{SyncAlways: true}})
	if err != nil {
		t.Fatal(err)
	}
	s.of.Store(b, n)
	return b
}

func (s *servers) server(b *core.Backend) *services.Nats {
	n, _ := s.of.Load(b)
	return n.(*services.Nats)
}

func (s *servers) open(t testing.TB) *core.Backend { return s.connect(t, services.StartNats(t)) }

func (s *servers) options() conformance.Options {
	return conformance.Options{
		Peer: func(t testing.TB, b *core.Backend) *core.Backend { return s.connect(t, s.server(b)) },
		Reopen: func(t testing.TB, b *core.Backend) *core.Backend {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			s.server(b).Restart(t)
			return s.connect(t, s.server(b))
		},
		Break: func(t testing.TB, b *core.Backend) { s.server(b).Restart(t) },
	}
}

func TestConformance(t *testing.T) {
	var s servers
	conformance.Run(t, s.open, s.options())
}

func TestModel(t *testing.T) {
	var s servers
	conformance.RunModel(t, s.open, s.options())
}

func TestLinearizable(t *testing.T) {
	var s servers
	conformance.RunLinearizable(t, s.open, s.options())
}

func BenchmarkStore(b *testing.B) {
	var s servers
	conformance.Bench(b, s.open, s.options())
}
