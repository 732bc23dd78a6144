package core

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// keyLocks lets the writers of a key on this node take turns, where they would otherwise make each other fail.
type keyLocks struct {
	mu   sync.Mutex
	held map[Key]chan struct{} // closed when let go
	busy atomic.Int64          // how many are held
}

// lock takes all the keys, in order, so that no two callers wait for each other. unlock gives them back.
func (l *keyLocks) lock(ctx context.Context, keys []Key) (unlock func(), err error) {
	keys = slices.Compact(slices.Sorted(slices.Values(keys)))
	for i, k := range keys {
		if err := l.one(ctx, k); err != nil {
			l.release(keys[:i])
			return nil, err
		}
	}
	return func() { l.release(keys) }, nil
}

func (l *keyLocks) one(ctx context.Context, k Key) error {
	for {
		l.mu.Lock()
		held := l.held[k]
		if held == nil {
			if l.held == nil {
				l.held = map[Key]chan struct{}{}
			}
			l.held[k] = make(chan struct{})
			l.busy.Add(1)
			l.mu.Unlock()
			return nil
		}
		l.mu.Unlock()
		select {
		case <-held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *keyLocks) release(keys []Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range keys {
		close(l.held[k])
		delete(l.held, k)
		l.busy.Add(-1)
	}
}

// yield waits for those who hold any of the keys now, but takes no turn: writers who need none must not keep those who do
// from ever having theirs.
func (l *keyLocks) yield(ctx context.Context, env EnvID, writes []Write) error {
	if l.busy.Load() == 0 {
		return nil
	}
	for i := range writes {
		l.mu.Lock()
		held := l.held[MakeKey(env, writes[i].Kind, writes[i].Name)]
		l.mu.Unlock()
		if held == nil {
			continue
		}
		select {
		case <-held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
