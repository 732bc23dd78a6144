package memory_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/conformance"
	"github.com/dynconfig/dynconfig/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
