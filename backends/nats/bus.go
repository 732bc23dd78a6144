package nats

import (
	"context"
	"slices"

	"github.com/dynconfig/dynconfig/core"
)

var _ core.Bus = (*Bus)(nil)

// Bus hears of commits as this node applies them: one consumer serves the view and all who listen.
type Bus struct{ store *Store }

const (
	hintBytes   = 64 << 10 // the largest record whose commits a hint carries
	hintBacklog = 256      // hints that wait for a listener; the oldest are dropped
)

// listener is one stream of hints.
type listener struct{ hints chan core.Hint }

// Announce implements core.Bus. There is nothing to do: every node follows the stream.
func (b *Bus) Announce(ctx context.Context, _ core.Commit) error { return b.store.alive(ctx) }

// Listen implements core.Bus.
func (b *Bus) Listen(ctx context.Context) (<-chan core.Hint, error) {
	s := b.store
	if err := s.alive(ctx); err != nil {
		return nil, err
	}
	l := &listener{hints: make(chan core.Hint, hintBacklog)}
	l.give(core.Hint{})
	s.hearing.Lock()
	s.hears[l] = true
	s.hearing.Unlock()
	context.AfterFunc(ctx, func() { s.endHints(l) })
	if s.ctx.Err() != nil {
		s.endHints(l)
	}
	return l.hints, nil
}

// give hands over a hint without waiting: a listener that is behind loses the oldest, which the newest makes superfluous.
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

// hint tells everybody who listens.
func (s *Store) hint(h core.Hint) {
	s.hearing.Lock()
	defer s.hearing.Unlock()
	for l := range s.hears {
		own := h
		if h.Commit != nil {
			c := lend(*h.Commit)
			own.Commit = &c
		}
		l.give(own)
	}
}

// recant takes back the hints that nobody has taken yet, since they are of another epoch, and has everybody look.
func (s *Store) recant() {
	s.hearing.Lock()
	defer s.hearing.Unlock()
	for l := range s.hears {
		for drained := false; !drained; {
			select {
			case <-l.hints:
			default:
				drained = true
			}
		}
		l.give(core.Hint{})
	}
}

// endHints ends listeners, all if none is named.
func (s *Store) endHints(some ...*listener) {
	s.hearing.Lock()
	defer s.hearing.Unlock()
	for l := range s.hears {
		if len(some) == 0 || slices.Contains(some, l) {
			delete(s.hears, l)
			close(l.hints)
		}
	}
}

// announce tells those who listen of a record that was applied, and the keeper when a snapshot is due.
func (s *Store) announce(v *view, r *record, m *message, size int) {
	s.mu.RLock()
	live := s.view == v && !s.doubt && s.loaded == v.keys.epoch
	due := live && m.Self == s.mine.self && v.grown(s.options.snapshotEvery)
	s.mu.RUnlock()
	if due {
		select {
		case s.due <- struct{}{}:
		default:
		}
	}
	if !live {
		return
	}
	for i := range r.Commits {
		h := core.Hint{Head: r.First + core.Revision(i)}
		switch {
		case size <= hintBytes:
			c := r.commit(i)
			h.Commit = &c
		case i < len(r.Commits)-1:
			continue
		}
		s.hint(h)
	}
}

// lend returns a copy of c whose slices are the caller's.
func lend(c core.Commit) core.Commit {
	c.Changes = slices.Clone(c.Changes)
	return c
}
