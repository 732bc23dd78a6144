package seal

import (
	"context"
	"slices"
	"sync"

	"github.com/dynconfig/dynconfig/core"
)

var _ core.Bus = (*SealedBus)(nil)

// SealedBus is a Bus with the values in its hints behind a Sealer.
type SealedBus struct {
	bus       core.Bus
	sealer    sealer
	listeners sync.WaitGroup
}

// Bus returns bus with the values in its hints behind s.
func Bus(bus core.Bus, s core.Sealer) *SealedBus { return &SealedBus{bus: bus, sealer: sealer{s}} }

// Wait waits until what listens has ended, which bus ends when it closes.
func (b *SealedBus) Wait() { b.listeners.Wait() }

// Announce implements core.Bus.
func (b *SealedBus) Announce(ctx context.Context, c core.Commit) error {
	c.Changes = slices.Clone(c.Changes)
	for i := range c.Changes {
		e := &c.Changes[i].Entry
		value, err := b.sealer.seal(e.Key, e.Doc.Value)
		if err != nil {
			return err
		}
		e.Doc.Value = value
	}
	return b.bus.Announce(ctx, c)
}

// Listen implements core.Bus. A commit that does not open is left out: the hint still says to look at the store, which
// then reports the fault.
func (b *SealedBus) Listen(ctx context.Context) (<-chan core.Hint, error) {
	hints, err := b.bus.Listen(ctx)
	if err != nil {
		return nil, err
	}
	opened := make(chan core.Hint, max(backlog, cap(hints)))
	b.listeners.Go(func() {
		defer close(opened)
		for h := range hints {
			give(opened, b.open(h))
		}
	})
	return opened, nil
}

func (b *SealedBus) open(h core.Hint) core.Hint {
	if h.Commit == nil {
		return h
	}
	c := *h.Commit
	c.Changes = slices.Clone(c.Changes)
	if h.Commit = &c; b.sealer.openCommit(&c) != nil {
		h.Commit = nil
	}
	return h
}

// backlog is how many hints may wait for a listener.
const backlog = 64

// give hands over a hint without waiting: a listener that is behind loses the oldest, which the newest makes superfluous.
func give(hints chan core.Hint, h core.Hint) {
	for {
		select {
		case hints <- h:
			return
		default:
		}
		select {
		case <-hints:
		default:
		}
	}
}
