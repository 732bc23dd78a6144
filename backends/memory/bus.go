package memory

import (
	"context"
	"sync"

	"github.com/dynconfig/dynconfig/core"
)

var _ core.Bus = (*Bus)(nil)

// Bus is one handle's place at the exchange of its store.
type Bus struct{ store *Store }

// exchange carries hints between the handles of one store.
type exchange struct {
	mu        sync.Mutex
	listeners map[*listener]bool
}

// listener is one Listen. Its channel holds the latest hints: a reader that is behind loses the oldest, which the newest
// makes superfluous.
type listener struct {
	store *Store
	hints chan core.Hint
}

const backlog = 256

// Announce implements core.Bus.
func (b *Bus) Announce(ctx context.Context, c core.Commit) error {
	if err := b.store.alive(ctx); err != nil {
		return err
	}
	x := b.store.bus
	x.mu.Lock()
	defer x.mu.Unlock()
	for l := range x.listeners {
		if l.store != b.store {
			kept := lend(&c)
			l.give(core.Hint{Head: c.Revision, Commit: &kept})
		}
	}
	return nil
}

// give hands over a hint without waiting; the exchange's lock makes it the only sender.
func (l *listener) give(h core.Hint) {
	for {
		select {
		case l.hints <- h:
			return
		default:
		}
		select {
		case <-l.hints:
		default:
		}
	}
}

// Listen implements core.Bus.
func (b *Bus) Listen(ctx context.Context) (<-chan core.Hint, error) {
	l := &listener{store: b.store, hints: make(chan core.Hint, backlog)}
	l.give(core.Hint{})
	x := b.store.bus
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := b.store.alive(ctx); err != nil {
		return nil, err
	}
	x.listeners[l] = true
	context.AfterFunc(ctx, func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.end(l)
	})
	return l.hints, nil
}

// drop ends the listeners of a handle that closes.
func (x *exchange) drop(s *Store) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for l := range x.listeners {
		if l.store == s {
			x.end(l)
		}
	}
}

func (x *exchange) end(l *listener) {
	if x.listeners[l] {
		delete(x.listeners, l)
		close(l.hints)
	}
}
