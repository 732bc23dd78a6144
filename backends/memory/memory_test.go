package memory_test

import (
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/conformance"
	"github.com/dynconfig/dynconfig/core"
)

func TestMain(m *testing.M) { conformance.VerifyMain(m) }

func open(testing.TB) *core.Backend { return memory.Open(memory.Options{Shared: true}) }

func peer(_ testing.TB, b *core.Backend) *core.Backend { return b.Store.(*memory.Store).Peer() }

// reopen is as near to a restart as memory comes: the node goes, the store stays.
func reopen(t testing.TB, b *core.Backend) *core.Backend {
	if err := b.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	return peer(t, b)
}

var options = conformance.Options{Peer: peer, Reopen: reopen}

func TestConformance(t *testing.T) { conformance.Run(t, open, options) }

func TestModel(t *testing.T) { conformance.RunModel(t, open, options) }

func TestLinearizable(t *testing.T) { conformance.RunLinearizable(t, open, options) }

// An ID's time is the one thing that the suite cannot see, because it has no clock to move.
func TestAnIDIsRememberedForTenMinutes(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b := memory.Open(memory.Options{Now: func() time.Time { return now }})
	commit := func() core.Revision {
		c, err := b.Store.Commit(t.Context(), core.Txn{Meta: core.Meta{ID: "once"}})
		if err != nil {
			t.Fatal(err)
		}
		return c.Revision
	}
	for _, step := range []struct {
		later time.Duration
		want  core.Revision
	}{{0, 1}, {core.KeepIDs, 1}, {time.Nanosecond, 2}, {core.KeepIDs, 2}} {
		now = now.Add(step.later)
		if got := commit(); got != step.want {
			t.Errorf("%v later the commit is revision %d, want %d", step.later, got, step.want)
		}
	}
}

func BenchmarkStore(b *testing.B) { conformance.Bench(b, open, options) }
