package embedded

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/dynconfig/dynconfig/conformance"
	"github.com/dynconfig/dynconfig/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// smallSegments keep a fresh data directory at 2 MiB.
var smallSegments = Options{WALSegmentBytes: 1 << 20}

func openDir(t testing.TB, dir string) *core.Backend {
	t.Helper()
	b, err := Open(t.Context(), dir, smallSegments)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func fresh(t testing.TB) *core.Backend { return openDir(t, t.TempDir()) }

func TestConformance(t *testing.T) { conformance.Run(t, fresh, conformance.Options{}) }
