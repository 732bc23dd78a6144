package nats

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/dynconfig/dynconfig/core"
)

// whole returns what a message of the log holds, with its parts.
func (s *Store) whole(ctx context.Context, stream jetstream.Stream, m *message) ([]byte, error) {
	if len(m.Parts) == 0 {
		return m.Body, nil
	}
	return io.ReadAll(s.reader(ctx, stream, m.Parts))
}

// reader reads the parts of a blob, one after the other.
func (s *Store) reader(ctx context.Context, stream jetstream.Stream, parts []uint64) io.Reader {
	readers := make([]io.Reader, len(parts))
	for i, seq := range parts {
		readers[i] = &partReader{fetch: func() ([]byte, error) {
			if b := s.cache.get(seq); b != nil {
				return b, nil
			}
			raw, err := s.raw(ctx, stream, seq)
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				return nil, errGone
			}
			if err != nil {
				return nil, err
			}
			return raw.Data, nil
		}}
	}
	return io.MultiReader(readers...)
}

// partReader reads one part, which it fetches when its turn comes.
type partReader struct {
	fetch func() ([]byte, error)
	rest  []byte
}

// Read implements io.Reader.
func (p *partReader) Read(b []byte) (int, error) {
	if p.fetch != nil {
		data, err := p.fetch()
		if err != nil {
			return 0, err
		}
		p.rest, p.fetch = data, nil
	}
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// errGone says that a message is no longer in the stream, or not yet on the server that was asked.
var errGone = core.Errorf(core.ErrUnavailable, "Store was compacted during the read")

// raw reads a message of the stream. The server that answers may be one that learns of it in a moment.
func (s *Store) raw(ctx context.Context, stream jetstream.Stream, seq uint64) (*jetstream.RawStreamMsg, error) {
	for try := range 5 {
		var m *jetstream.RawStreamMsg
		err := s.retry(ctx, func(ctx context.Context) (err error) {
			m, err = stream.GetMsg(ctx, seq)
			return err
		})
		switch {
		case err == nil:
			return m, nil
		case !errors.Is(err, jetstream.ErrMsgNotFound):
			return nil, fault(err)
		case s.below(seq):
			return nil, err
		}
		select {
		case <-time.After(time.Millisecond << (2 * try)):
		case <-ctx.Done():
			return nil, fault(ctx.Err())
		}
	}
	return nil, jetstream.ErrMsgNotFound
}

// below reports whether a message was given up by a compaction that this node knows of.
func (s *Store) below(seq uint64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.view != nil && seq < s.view.from
}

// body returns what the message at a sequence holds, decoded.
func (s *Store) body(ctx context.Context, seq uint64) (*record, error) {
	body := s.cache.get(seq)
	if body == nil {
		stream := s.current()
		m, err := s.message(ctx, stream, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil, errGone
		}
		if err != nil {
			return nil, err
		}
		if body, err = s.whole(ctx, stream, m); err != nil {
			return nil, err
		}
		s.cache.put(seq, body)
	}
	r := new(record)
	return r, s.codec.get(body, r)
}

// message reads a message of the log.
func (s *Store) message(ctx context.Context, stream jetstream.Stream, seq uint64) (*message, error) {
	raw, err := s.raw(ctx, stream, seq)
	if err != nil {
		return nil, err
	}
	m := new(message)
	return m, s.codec.get(raw.Data, m)
}
