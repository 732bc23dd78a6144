package nats

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/dynconfig/dynconfig/core"
)

// follow reads the stream until ctx ends, from where this node stands, again after every cut.
func (s *Store) follow(ctx context.Context) {
	for pause := minPause; ctx.Err() == nil; {
		began := time.Now()
		err := s.attend(ctx)
		if ctx.Err() == nil && !errors.Is(err, errRenewed) {
			s.options.Logger.Warn("the stream is followed anew", "error", err)
		}
		s.mu.Lock()
		s.fault, s.again = err, func() {}
		s.wake()
		s.mu.Unlock()
		s.hint(core.Hint{})
		if pause = min(2*pause, maxPause); time.Since(began) > maxPause || errors.Is(err, errRenewed) {
			pause = minPause
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

const (
	minPause  = 10 * time.Millisecond
	maxPause  = time.Second
	heartbeat = time.Second // of a consumer that has nothing to say
	// What a consumer sends ahead.
	aheadMessages = 500
	aheadBytes    = 8 << 20
	inactive      = 30 * time.Second // until the server forgets the consumer of a node that is gone
)

// attend compares the view with the stream, or loads it, and applies what comes until something ends it.
func (s *Store) attend(ctx context.Context) error {
	live, _, err := s.line.await(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(live, cancel)()
	s.mu.Lock()
	s.again = cancel
	s.mu.Unlock()
	asked, done := s.timeout(ctx)
	defer done()
	stream, keys, err := s.ensure(asked)
	if err != nil {
		return err
	}
	v, err := s.recall(asked, stream, keys)
	if err != nil {
		return err
	}
	consumer, err := s.js.CreateConsumer(asked, keys.prefix, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: v.seq + 1, AckPolicy: jetstream.AckNonePolicy,
		MemoryStorage: true, Replicas: 1, InactiveThreshold: inactive,
	})
	if err != nil {
		return fault(err)
	}
	defer s.dismiss(keys.prefix, consumer)
	messages, err := consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(aheadMessages, aheadBytes),
		jetstream.PullHeartbeat(heartbeat), jetstream.PullExpiry(10*heartbeat), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return fault(err)
	}
	defer messages.Stop()
	if consumer.CachedInfo().NumPending == 0 {
		s.ready(v, stream)
	}
	for next := uint64(1); ; next++ {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fault(err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return fault(err)
		}
		if meta.Sequence.Consumer != next {
			return core.Errorf(core.ErrUnavailable, "Messages were lost on the way")
		}
		if err := s.apply(ctx, stream, v, m, meta.Sequence.Stream); err != nil {
			return err
		}
		if meta.NumPending == 0 {
			s.ready(v, stream)
		}
	}
}

// dismiss deletes the consumer, if that is quickly done: it would go by itself.
func (s *Store) dismiss(stream string, c jetstream.Consumer) {
	if !s.conn.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), heartbeat)
	defer cancel()
	_ = s.js.DeleteConsumer(ctx, stream, c.CachedInfo().Name)
}

// recall returns the view that the stream goes on from: the present one, or else one that is loaded.
func (s *Store) recall(ctx context.Context, stream jetstream.Stream, keys layout) (*view, error) {
	s.mu.RLock()
	v := s.view
	s.mu.RUnlock()
	if v != nil && v.keys == keys {
		same, lost, err := s.holds(ctx, stream, v)
		if err != nil {
			return nil, err
		}
		if lost {
			return nil, s.renew(ctx, stream)
		}
		if same {
			return v, nil
		}
	}
	if err := s.found(ctx, stream, keys); err != nil {
		return nil, err
	}
	return s.load(ctx, stream, keys)
}

// ready makes a view that has caught up the one that is used.
func (s *Store) ready(v *view, stream jetstream.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.view == v && !s.doubt && s.fault == nil {
		return
	}
	if s.view != v {
		s.cache.reset()
		s.line.renew() // a stream that is deleted swallows what it is just being sent
	}
	if s.loaded == "" {
		s.loaded = v.keys.epoch
	}
	s.view, s.stream, s.doubt, s.fault = v, stream, false, nil
	s.wake()
	if s.loaded != v.keys.epoch {
		s.recant()
	}
}

// apply brings a view one message further.
func (s *Store) apply(ctx context.Context, stream jetstream.Stream, v *view, m jetstream.Msg, seq uint64) error {
	now := s.options.Now()
	kind, blob, own := v.keys.kindOf(m.Subject())
	switch kind {
	case kindLog:
		return s.applyLog(ctx, stream, v, m.Data(), seq, own)
	case kindPart:
		if !ofSnapshot(blob) {
			s.cache.put(seq, m.Data())
		}
		s.advance(v, seq, func() { v.takePart(blob, seq, now) })
	case kindSnapshot:
		p := snapshot{seq: seq}
		if err := s.codec.get(m.Data(), &p); err != nil {
			return err
		}
		s.advance(v, seq, func() { v.takeSnapshot(p, own, now) })
	default:
		s.advance(v, seq, func() {})
	}
	return nil
}

// applyLog applies a message of the log.
func (s *Store) applyLog(ctx context.Context, stream jetstream.Stream, v *view, data []byte, seq uint64, own bool) error {
	m := new(message)
	if err := s.codec.get(data, m); err != nil {
		return err
	}
	next, err := follows(m, v)
	if err != nil {
		return err
	}
	if !next {
		s.options.Logger.Warn("a record was passed over: the server took it behind one that its writer had not seen", "sequence", seq)
		s.advance(v, seq, func() {
			v.lastLog = seq
			s.met(m.Self, seq, false)
		})
		return nil
	}
	body, err := s.whole(ctx, stream, m)
	if err != nil {
		return err
	}
	r := new(record)
	if err := s.codec.get(body, r); err != nil {
		return err
	}
	if len(r.Commits) > 0 && r.First != v.head+1 {
		return errHole
	}
	s.cache.put(seq, body)
	now, shorter := s.options.Now(), v.shorten(r.Clean)
	s.advance(v, seq, func() {
		s.read++
		if own {
			v.lastLog = seq
		}
		v.take(m, r, shorter, seq, len(body), now)
		v.forgetOld(now.Add(-core.KeepIDs))
		s.met(m.Self, seq, true)
	})
	s.announce(v, r, m, len(body))
	return nil
}

// advance changes a view, and tells those who wait.
func (s *Store) advance(v *view, seq uint64, change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	v.seq = seq
	if s.view == v {
		s.wake()
	}
}

// follows reports whether a message is the next of the log. One whose writer had not seen the last record, although the
// server took it, is passed over by every node.
func follows(m *message, v *view) (bool, error) {
	switch {
	case m.Prev == v.self && m.PrevSeq == v.selfSeq:
		return true, nil
	case m.PrevSeq < v.selfSeq:
		return false, nil
	}
	return false, errHole
}

var errHole = core.Errorf(core.ErrInternal, "Log in the NATS stream has a hole: messages were deleted from it")
