package nats

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/dynconfig/dynconfig/core"
)

// blob writes what is too large for one message as parts of it, before the record or the snapshot that refers to them. A
// blob to which nothing refers in the end is swept.
type blob struct {
	store *Store
	ctx   context.Context
	keys  layout
	name  string
	parts []uint64
	size  int
	buf   []byte
}

// The first letter of a blob's name says what it is.
const (
	blobRecord   = "r"
	blobSnapshot = "s"
)

func ofSnapshot(blob string) bool { return len(blob) > 0 && blob[:1] == blobSnapshot }

func (s *Store) newBlob(ctx context.Context, keys layout, of string) *blob {
	return &blob{store: s, ctx: ctx, keys: keys, name: of + rand.Text()[:16]}
}

// Write implements io.Writer.
func (b *blob) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), b.store.options.partBytes-len(b.buf))
		b.buf, rest = append(b.buf, rest[:n]...), rest[n:]
		if len(b.buf) == b.store.options.partBytes {
			if err := b.flush(); err != nil {
				return 0, err
			}
		}
	}
	return len(p), nil
}

// flush publishes what has been written as a part.
func (b *blob) flush() error {
	if len(b.buf) == 0 {
		return nil
	}
	ack, err := b.store.publish(b.ctx, b.keys.part(b.name), b.buf)
	if err != nil {
		return err
	}
	b.parts, b.size, b.buf = append(b.parts, ack), b.size+len(b.buf), b.buf[:0]
	return nil
}

// drop deletes the blob: nothing refers to it, and nothing will.
func (b *blob) drop() {
	if b == nil {
		return
	}
	b.store.erase(b.store.ctx, b.keys, b.name) // else it is swept
}

// erase deletes the parts of a blob.
func (s *Store) erase(ctx context.Context, keys layout, blob string) {
	err := s.request(ctx, func(ctx context.Context) error {
		return s.current().Purge(ctx, jetstream.WithPurgeSubject(keys.prefix+".*."+kindPart+"."+blob))
	})
	if err != nil && ctx.Err() == nil {
		s.options.Logger.Warn("parts that nothing refers to could not be deleted", "error", err)
	}
}

// publish publishes a message and returns its sequence.
func (s *Store) publish(ctx context.Context, subject string, data []byte, o ...jetstream.PublishOpt) (uint64, error) {
	return s.publishMsg(ctx, &natsgo.Msg{Subject: subject, Data: data}, o...)
}

func (s *Store) publishMsg(ctx context.Context, m *natsgo.Msg, o ...jetstream.PublishOpt) (uint64, error) {
	var seq uint64
	err := s.request(ctx, func(ctx context.Context) error {
		ack, err := s.js.PublishMsg(ctx, m, append(o, jetstream.WithRetryAttempts(0))...)
		if err == nil {
			seq = ack.Sequence
		}
		return err
	})
	return seq, err
}

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
		raw, err := s.raw(ctx, stream, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil, errGone
		}
		if err != nil {
			return nil, err
		}
		m := new(message)
		if err := s.codec.get(raw.Data, m); err != nil {
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
