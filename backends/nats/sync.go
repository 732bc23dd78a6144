package nats

import (
	"context"
	"errors"
	"sync"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/dynconfig/dynconfig/core"
)

// barriers lets readers share barriers: one that has been sent is of no use to a reader who comes after that, so he waits
// for the next, with all the others who came meanwhile.
type barriers struct {
	mu      sync.Mutex
	next    *barrier // not yet sent
	running bool
}

type barrier struct {
	done chan struct{}
	head core.Revision
	err  error
}

// Sync implements core.Store. A barrier is a message of the stream: the servers agree on its place among the commits,
// which no answer of a single server could tell, since that one may have been deposed without knowing it.
func (s *Store) Sync(ctx context.Context) (core.Revision, error) {
	if err := s.alive(ctx); err != nil {
		return 0, err
	}
	b := s.joinBarrier()
	select {
	case <-b.done:
		if b.err != nil {
			return 0, b.err
		}
		return b.head, s.use(ctx, func(*view) {})
	case <-ctx.Done():
		return 0, core.Errorf(core.ErrUnavailable, "Call was given up").Because(ctx.Err())
	case <-s.ctx.Done():
		return 0, errClosed
	}
}

func (s *Store) joinBarrier() *barrier {
	x := &s.syncs
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.next == nil {
		x.next = &barrier{done: make(chan struct{})}
	}
	b := x.next
	if !x.running && s.ctx.Err() == nil {
		x.running = true
		s.loops.Go(s.sendBarriers)
	}
	return b
}

// sendBarriers sends barriers until nobody waits for one.
func (s *Store) sendBarriers() {
	for {
		s.syncs.mu.Lock()
		b := s.syncs.next
		s.syncs.next = nil
		s.syncs.running = b != nil
		s.syncs.mu.Unlock()
		if b == nil {
			return
		}
		b.head, b.err = s.pass(s.ctx)
		close(b.done)
	}
}

// pass sends one barrier and waits until this node has come by it.
func (s *Store) pass(ctx context.Context) (core.Revision, error) {
	ctx, cancel := s.timeout(ctx)
	defer cancel()
	for {
		var keys layout
		var seen uint64
		if err := s.await(ctx, func(v *view) bool { keys, seen = v.keys, v.seq; return true }); err != nil {
			return 0, err
		}
		m := &natsgo.Msg{Subject: keys.of(kindBarrier), Header: natsgo.Header{jetstream.MsgRollup: []string{jetstream.MsgRollupSubject}}}
		var seq uint64
		err := s.retry(ctx, func(ctx context.Context) (err error) {
			seq, err = s.publishMsg(ctx, m)
			return err
		})
		if errors.Is(err, jetstream.ErrNoStreamResponse) {
			if err := s.missed(ctx, place{keys: keys}); err != nil {
				return 0, err
			}
			continue
		}
		if err != nil {
			return 0, fault(err)
		}
		if seq <= seen {
			s.suspect(keys)
			continue
		}
		head, same := core.Revision(0), false
		err = s.await(ctx, func(v *view) bool {
			head, same = v.head, v.keys == keys
			return !same || v.seq >= seq
		})
		if same || err != nil {
			return head, err
		}
	}
}
