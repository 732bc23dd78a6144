package nats

import (
	"context"
	"crypto/rand"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
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
