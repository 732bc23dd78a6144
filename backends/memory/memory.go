// Package memory is the reference backend: the commit log is a slice, the present a map, and a mutex makes them one. It
// serves tests and `--backend memory`, and shows in the fewest lines what every other backend has to do. Nothing
// survives the process.
package memory

import (
	"crypto/rand"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// Options are the backend's settings; the zero value works.
type Options struct {
	Now    func() time.Time // the store's clock, which decides how long a Meta.ID is remembered; nil: time.Now
	Shared bool             // several handles will be in use at once: Limits.Shared
}

// What a transaction may hold. Memory itself knows no limit: these keep one caller from holding the lock for long.
const (
	maxOps   = 1000
	maxBytes = 8 << 20
)

// Open returns a backend over a new, empty store.
func Open(o Options) *core.Backend {
	if o.Now == nil {
		o.Now = time.Now
	}
	return handle(newTable(o, strings.ToLower(rand.Text()[:16])), &exchange{listeners: map[*listener]bool{}})
}

var _ core.Store = (*Store)(nil)

// Store is one handle on a store: what a node holds. Several may share one, and each ends with its own Close.
type Store struct {
	table  *table
	bus    *exchange
	closed atomic.Bool
}

// Peer opens another handle on the same store, as a second node of a deployment does (see Options.Shared). What was written stays when every
// handle is closed, so that a test may close one and open its peer to see what a restart would see.
func (s *Store) Peer() *core.Backend { return handle(s.table, s.bus) }

func handle(t *table, x *exchange) *core.Backend {
	s := &Store{table: t, bus: x}
	return &core.Backend{
		Name: "memory", Store: s, Bus: &Bus{store: s}, Limits: t.limits,
		Close: func() error {
			if s.closed.CompareAndSwap(false, true) {
				x.drop(s)
			}
			return nil
		},
	}
}

var errClosed = core.Errorf(core.ErrUnavailable, "Store is closed")
