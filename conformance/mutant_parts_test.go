package conformance

import (
	"context"
	"errors"

	"github.com/dynconfig/dynconfig/core"
)

// sickBus is a Bus of which some methods do something else with the one behind it.
type sickBus struct {
	core.Bus
	announce func(ctx context.Context, b core.Bus, c core.Commit) error
	hint     func(h core.Hint) (core.Hint, bool) // what becomes of a hint, and whether it is passed on
	endless  bool                                // the channel is never closed
}

func bus(s sickBus) func() func(*core.Backend) {
	return func() func(*core.Backend) {
		return func(b *core.Backend) {
			s := s
			s.Bus = b.Bus
			b.Bus = &s
		}
	}
}

func (s *sickBus) Announce(ctx context.Context, c core.Commit) error {
	if s.announce != nil {
		return s.announce(ctx, s.Bus, c)
	}
	return s.Bus.Announce(ctx, c)
}

func (s *sickBus) Listen(ctx context.Context) (<-chan core.Hint, error) {
	hints, err := s.Bus.Listen(ctx)
	if err != nil || s.hint == nil {
		return hints, err
	}
	out := make(chan core.Hint, 1<<12)
	go func() {
		defer close(out)
		for h := range hints {
			if h, ok := s.hint(h); ok {
				out <- h
			}
		}
	}()
	return out, nil
}

var errSick = errors.New("bus is full")

var partMutants = []mutant{
	{"begins its hints with the first commit", "the first hint says look", bus(sickBus{hint: func(h core.Hint) (core.Hint, bool) {
		return core.Hint{Head: h.Head + 1}, true
	}})},
	{"takes listeners when it is closed", "hints end with their context and with the backend", func() func(*core.Backend) {
		return func(b *core.Backend) {
			next, end := b.Bus, b.Close
			closed := false
			b.Close = func() error { closed = true; return end() }
			b.Bus = &lateBus{Bus: next, closed: func() bool { return closed }}
		}
	}},
	{"cannot announce while nobody reads", "announce does not wait for a listener", func() func(*core.Backend) {
		var sent counter
		return func(b *core.Backend) {
			bus(sickBus{announce: func(ctx context.Context, next core.Bus, c core.Commit) error {
				if sent.next() > 256 {
					return errSick
				}
				return next.Announce(ctx, c)
			}})()(b)
		}
	}},
	{"loses every hint", "a hint of a peer's commit arrives and carries nothing else", bus(sickBus{hint: func(h core.Hint) (core.Hint, bool) {
		return h, h.Head == 0
	}})},
	{"sends another commit than it says", "a hint of a peer's commit arrives and carries nothing else", bus(sickBus{hint: func(h core.Hint) (core.Hint, bool) {
		if h.Commit != nil {
			h.Commit = &core.Commit{Revision: h.Head}
		}
		return h, true
	}})},
	{"does not notice that it was cut off", "after a cut a hint says look", func() func(*core.Backend) {
		return func(b *core.Backend) {
			first := true
			bus(sickBus{hint: func(h core.Hint) (core.Hint, bool) {
				pass := first || h.Head != 0
				first = false
				return h, pass
			}})()(b)
		}
	}},
	{"shows other nodes nothing new in its log", "the engine converges with no hints at all", func() func(*core.Backend) {
		var handles counter
		return func(b *core.Backend) {
			if handles.next() > 1 {
				deaf.infect(b)
			}
		}
	}},
	{"shows other nodes nothing new, and hints at it", "the engine converges by hints", func() func(*core.Backend) {
		var handles counter
		return func(b *core.Backend) {
			if handles.next() > 1 {
				deaf.infect(b)
				bus(sickBus{hint: func(h core.Hint) (core.Hint, bool) { return core.Hint{Head: h.Head}, true }})()(b)
			}
		}
	}},
	{"caches without the version", "the cache never serves a value of another version", cache(func(ctx context.Context, c core.Cache, epoch string, e core.Entry) error {
		for v := range int64(20) {
			e.Version = v
			if err := c.Put(ctx, epoch, e); err != nil {
				return err
			}
		}
		return nil
	})},
	{"caches without the epoch", "the cache never serves a value of another version", cache(func(ctx context.Context, c core.Cache, _ string, e core.Entry) error {
		return errors.Join(c.Put(ctx, "aaaaaaaa", e), c.Put(ctx, "bbbbbbbb", e))
	})},
	{"caches nothing", "the cache keeps what it was given", cache(func(context.Context, core.Cache, string, core.Entry) error { return nil })},
	{"counts on each node for itself", "the limit holds over two nodes", func() func(*core.Backend) {
		return func(b *core.Backend) { b.Limiter = newParts() }
	}},
	{"has one budget for all", "principals do not share a budget", limiter(func(ctx context.Context, l core.Limiter, _ string, n int) (core.Budget, error) {
		return l.Take(ctx, "everybody", n)
	})},
	{"refuses without a word", "a refusal says when to come back", limiter(func(ctx context.Context, l core.Limiter, principal string, n int) (core.Budget, error) {
		b, err := l.Take(ctx, principal, n)
		b.Retry = 0
		return b, err
	})},
}

// deaf reads the log of the beginning for ever.
var deaf = patched{log: func(context.Context, core.Store, core.Revision, int) ([]core.Commit, error) { return nil, nil }}

// lateBus listens with the bus of before, even when its backend is closed.
type lateBus struct {
	core.Bus
	closed func() bool
}

func (b *lateBus) Listen(ctx context.Context) (<-chan core.Hint, error) {
	if b.closed() {
		return make(chan core.Hint), nil
	}
	return b.Bus.Listen(ctx)
}

type sickCache struct {
	core.Cache
	put func(ctx context.Context, c core.Cache, epoch string, e core.Entry) error
}

func (s *sickCache) Put(ctx context.Context, epoch string, e core.Entry) error {
	return s.put(ctx, s.Cache, epoch, e)
}

func cache(put func(ctx context.Context, c core.Cache, epoch string, e core.Entry) error) func() func(*core.Backend) {
	return func() func(*core.Backend) {
		return func(b *core.Backend) { b.Cache = &sickCache{Cache: b.Cache, put: put} }
	}
}

type sickLimiter struct {
	core.Limiter
	take func(ctx context.Context, l core.Limiter, principal string, n int) (core.Budget, error)
}

func (s *sickLimiter) Take(ctx context.Context, principal string, n int) (core.Budget, error) {
	return s.take(ctx, s.Limiter, principal, n)
}

func limiter(take func(ctx context.Context, l core.Limiter, principal string, n int) (core.Budget, error)) func() func(*core.Backend) {
	return func() func(*core.Backend) {
		return func(b *core.Backend) { b.Limiter = &sickLimiter{Limiter: b.Limiter, take: take} }
	}
}
