package nats

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/dynconfig/dynconfig/core"
)

// place is where a writer stands: what it read is as of the record Self, and its own record comes right behind it or not
// at all.
type place struct {
	keys          layout
	seq           uint64
	lastLog       uint64
	self, selfSeq uint64
	head          core.Revision
	clock         time.Time
}

func (v *view) place() place {
	return place{keys: v.keys, seq: v.seq, lastLog: v.lastLog, self: v.self, selfSeq: v.selfSeq, head: v.head, clock: v.clock}
}

// maxTries bounds how often a batch is evaluated anew because other nodes were faster.
const maxTries = 100

var errBusy = core.Errorf(core.ErrUnavailable, "Too many other nodes write at the same time")

// batch commits transactions in order, each with its own answer. One that is too large in company is tried in halves.
func (s *Store) batch(ctx context.Context, txns []core.Txn) []core.Answer {
	answers, err := s.decide(ctx, txns)
	if err == nil {
		return answers
	}
	if errors.Is(err, core.ErrTooLarge) && len(txns) > 1 {
		half := len(txns) / 2
		return append(s.batch(ctx, txns[:half]), s.batch(ctx, txns[half:])...)
	}
	answers = make([]core.Answer, len(txns))
	for i := range answers {
		answers[i].Err = err
	}
	return answers
}

// decide tries until no other node writes between evaluation and writing.
func (s *Store) decide(ctx context.Context, txns []core.Txn) ([]core.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*s.options.Timeout)
	defer cancel()
	s.writing.Lock()
	defer s.writing.Unlock()
	for range maxTries {
		p, answers, commits, err := s.evaluate(ctx, txns)
		if err != nil {
			return nil, err
		}
		if len(commits) == 0 {
			same, err := s.stillAt(ctx, p, answers)
			if same || err != nil {
				return answers, err
			}
			continue
		}
		done, err := s.append(ctx, p, packBatch(commits))
		if done || err != nil {
			return answers, err
		}
	}
	return nil, errBusy
}

// evaluate applies transactions to what this node knows.
func (s *Store) evaluate(ctx context.Context, txns []core.Txn) (p place, answers []core.Answer, commits []core.Commit, err error) {
	var entries []core.Entry
	known := make([]core.Revision, len(txns))
	touched := core.Touched(txns...)
	err = s.use(ctx, func(v *view) {
		p = v.place()
		for _, k := range touched {
			if it := v.get(k); it != nil {
				entries = append(entries, it.entry)
			}
		}
		for i, t := range txns {
			if t.Meta.ID != "" {
				known[i] = v.ids[digestOf(t.Meta.ID)]
			}
		}
	})
	if err != nil {
		return p, nil, nil, err
	}
	overlay := core.NewOverlay(p.head, p.clock, entries)
	answers = make([]core.Answer, len(txns))
	first := map[string]int{}
	for i, t := range txns {
		if known[i] > 0 {
			c, found, err := s.repeated(ctx, t.Meta.ID, known[i])
			if err != nil {
				return p, nil, nil, err
			}
			if found {
				answers[i].Commit = c
				continue
			}
		}
		if j, twice := first[t.Meta.ID]; twice {
			answers[i].Commit = lend(answers[j].Commit)
			continue
		}
		c, err := overlay.Apply(t)
		if err != nil {
			answers[i].Err = err
			continue
		}
		if t.Meta.ID != "" {
			first[t.Meta.ID] = i
		}
		commits, answers[i].Commit = append(commits, c), lend(c)
	}
	return p, answers, commits, nil
}

// repeated returns the commit of a revision if it has an ID.
func (s *Store) repeated(ctx context.Context, id string, at core.Revision) (core.Commit, bool, error) {
	var b batch
	var known bool
	if err := s.await(ctx, func(v *view) bool { b, known = v.batchOf(at); return true }); err != nil || !known {
		return core.Commit{}, false, err
	}
	r, err := s.body(ctx, b.seq)
	if err != nil {
		return core.Commit{}, false, err
	}
	c := r.commit(int(at - r.First))
	return c, c.Meta.ID == id, nil
}

// stillAt reports whether the log ended at a place when it was asked: a refusal must not come from a lagging view.
func (s *Store) stillAt(ctx context.Context, p place, answers []core.Answer) (bool, error) {
	refused := false
	for _, a := range answers {
		refused = refused || a.Err != nil
	}
	if !refused {
		return true, nil
	}
	if _, err := s.Sync(ctx); err != nil {
		return false, err
	}
	same := false
	err := s.await(ctx, func(v *view) bool { same = v.self == p.self && v.keys == p.keys; return true })
	return same, err
}

// append writes a record behind the place at which it was made, and waits until this node has applied it. It is not done if
// another node's record came first.
func (s *Store) append(ctx context.Context, p place, r record) (done bool, err error) {
	body, err := s.codec.put(r)
	if err != nil {
		return false, err
	}
	if len(body) > maxRecord {
		return false, core.Errorf(core.ErrTooLarge, "Transaction is larger than %d bytes with its ACLs", maxRecord)
	}
	m := message{Self: rand.Uint64() | 1, Prev: p.self, PrevSeq: p.selfSeq, Body: body}
	var parts *blob
	if len(body) > s.options.partBytes {
		parts = s.newBlob(ctx, p.keys, blobRecord)
		if _, err = parts.Write(body); err == nil {
			err = parts.flush()
		}
		m.Body, m.Blob, m.Parts = nil, parts.name, parts.parts
	}
	var seq uint64
	if err == nil {
		if body, err = s.codec.put(m); err != nil {
			return false, err
		}
		s.mu.Lock()
		s.mine = own{self: m.Self}
		s.mu.Unlock()
		seq, err = s.publish(ctx, p.keys.of(kindLog), body, jetstream.WithExpectLastSequencePerSubject(p.lastLog))
	}
	switch {
	case err == nil:
	case isWrongLast(err):
		parts.drop()
		return false, s.catchUp(ctx, p)
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return false, s.missed(ctx, p)
	default:
		return false, fault(err)
	}
	return s.settled(ctx, p, m.Self, seq)
}

// settled waits until this node has applied the message at a sequence, and reports whether it is the record that it wrote.
func (s *Store) settled(ctx context.Context, p place, self, seq uint64) (bool, error) {
	var met own
	err := s.await(ctx, func(v *view) bool {
		met = s.mine
		return v.keys != p.keys || v.seq >= seq
	})
	if err == nil && (met.self != self || met.seq != seq) {
		return false, core.Errorf(core.ErrUnavailable, "Store was loaded anew") // with or without it
	}
	return met.applied, err
}

// own is this node's last record.
type own struct {
	self    uint64
	seq     uint64 // at which it was met in the stream; 0: not yet
	applied bool
}

// met notes that this node's own record came by; s.mu is held.
func (s *Store) met(self, seq uint64, applied bool) {
	if s.mine.self == self {
		s.mine.seq, s.mine.applied = seq, applied
	}
}

// catchUp waits until this node has met the record that was in the way. It may be one that is not yet written on all
// servers, which a barrier waits for; or the stream may have lost what this node takes for its last record.
func (s *Store) catchUp(ctx context.Context, p place) error {
	short, cancel := context.WithTimeout(ctx, catchUpPause)
	defer cancel()
	if err := s.await(short, func(v *view) bool { return v.lastLog != p.lastLog || v.keys != p.keys }); err == nil || short.Err() == nil {
		return err
	}
	if _, err := s.Sync(ctx); err != nil || s.stands().lastLog != p.lastLog {
		return err
	}
	_, err := s.Status(ctx)
	return err
}

const catchUpPause = 50 * time.Millisecond

// missed finds out why nobody took a message: the stream is gone, or has no leader for the moment.
func (s *Store) missed(ctx context.Context, p place) error {
	ctx, cancel := s.timeout(ctx)
	defer cancel()
	_, err := s.Status(ctx)
	if err == nil && ctx.Err() == nil {
		if s.stands().keys == p.keys { // there it is: do not ask again at once
			select {
			case <-time.After(catchUpPause):
			case <-ctx.Done():
			}
		}
	}
	return err
}

func isWrongLast(err error) bool {
	code := codeOf(err)
	return code == codeWrongLast || code == codeWrongLastIn
}
