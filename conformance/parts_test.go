package conformance

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// gate stands between nodes and their server. While it is cut, calls fail, and those under way are not answered.
type gate struct {
	down    atomic.Bool
	refused atomic.Int64

	mu        sync.Mutex
	listeners map[chan core.Hint]bool
}

// cut stops the server until a call was refused, if anybody calls, and starts it again.
func (g *gate) cut() {
	before := g.refused.Load()
	g.down.Store(true)
	for end := time.Now().Add(20 * time.Millisecond); g.refused.Load() == before && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	g.down.Store(false)
	g.mu.Lock()
	defer g.mu.Unlock()
	for l := range g.listeners {
		l <- core.Hint{}
	}
}

func (g *gate) pass() error {
	if g.down.Load() {
		g.refused.Add(1)
		return core.Errorf(core.ErrUnavailable, "Server is away")
	}
	return nil
}

// gated is a Store behind a gate.
type gated struct {
	core.Store
	gate *gate
}

func through[T any](g *gate, call func() (T, error)) (answer T, err error) {
	if err := g.pass(); err != nil {
		return answer, err
	}
	answer, err = call()
	if lost := g.pass(); lost != nil {
		var none T
		return none, lost
	}
	return answer, err
}

func (s *gated) Commit(ctx context.Context, txn core.Txn) (core.Commit, error) {
	return through(s.gate, func() (core.Commit, error) { return s.Store.Commit(ctx, txn) })
}

func (s *gated) Sync(ctx context.Context) (core.Revision, error) {
	return through(s.gate, func() (core.Revision, error) { return s.Store.Sync(ctx) })
}

func (s *gated) Log(ctx context.Context, after core.Revision, limit int) ([]core.Commit, error) {
	return through(s.gate, func() ([]core.Commit, error) { return s.Store.Log(ctx, after, limit) })
}

// gatedBus is a Bus behind a gate: a cut may have swallowed hints.
type gatedBus struct {
	core.Bus
	gate *gate
}

func (b *gatedBus) Listen(ctx context.Context) (<-chan core.Hint, error) {
	hints, err := b.Bus.Listen(ctx)
	if err != nil {
		return nil, err
	}
	out, zero := make(chan core.Hint), make(chan core.Hint, 16)
	g := b.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listeners == nil {
		g.listeners = map[chan core.Hint]bool{}
	}
	g.listeners[zero] = true
	go func() {
		defer close(out)
		defer func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			delete(g.listeners, zero)
		}()
		for {
			var h core.Hint
			var ok bool
			select {
			case h, ok = <-hints:
				if !ok {
					return
				}
			case h = <-zero:
			}
			select {
			case out <- h:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

// parts are a cache and a limiter that the nodes of a store share.
type parts struct {
	mu      sync.Mutex
	entries map[cacheKey]core.Entry
	taken   map[string]int
}

type cacheKey struct {
	epoch   string
	key     core.Key
	version int64
}

func newParts() *parts {
	return &parts{entries: map[cacheKey]core.Entry{}, taken: map[string]int{}}
}

func (p *parts) Get(_ context.Context, epoch string, key core.Key, version int64) (*core.Entry, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e, ok := p.entries[cacheKey{epoch, key, version}]; ok {
		return &e, nil
	}
	return nil, nil // a miss
}

func (p *parts) Put(_ context.Context, epoch string, e core.Entry) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entries[cacheKey{epoch, e.Key, e.Version}] = e
	return nil
}

const partsLimit = 100

// Take implements core.Limiter with a bucket that never refills: a little less than the limit.
func (p *parts) Take(_ context.Context, principal string, n int) (core.Budget, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := core.Budget{Limit: partsLimit, Reset: time.Minute}
	if b.Allowed = p.taken[principal]+n <= partsLimit; b.Allowed {
		p.taken[principal] += n
	} else {
		b.Retry = time.Second
	}
	b.Remaining = partsLimit - p.taken[principal]
	return b, nil
}
