package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dynconfig/dynconfig/core"
)

// stepRows is how many changes one statement looks at when it trims: few enough to be done long before its timeout.
const stepRows = 5000

// Compact implements core.Store. The floor is raised first; then the histories of the keys that the dropped part of the log
// names are trimmed, some at a time: whatever is interrupted, the next Compact goes on. What a repeated ID may still ask
// for is hidden until it is ten minutes old.
func (s *Store) Compact(ctx context.Context, upTo core.Revision, keep int) error {
	keep = max(0, keep)
	t, err := s.raise(ctx, upTo, keep)
	if err != nil {
		return err
	}
	for t.at < t.floor {
		t, err = read(ctx, s, func(ctx context.Context, c *pgxpool.Conn) (trim, error) { return t.step(ctx, c) })
		if err != nil {
			return err
		}
	}
	return nil
}

// trim is a compaction under way.
type trim struct {
	floor  int64 // up to where it goes
	at     int64 // up to where it has come
	settle int64 // up to where no repeat of an ID looks
	keep   int
}

// raise raises the floor. What it returns is done already if upTo lies below it.
func (s *Store) raise(ctx context.Context, upTo core.Revision, keep int) (trim, error) {
	return read(ctx, s, func(ctx context.Context, c *pgxpool.Conn) (trim, error) {
		if err := s.follows(c); err != nil {
			return trim{}, err
		}
		t := trim{keep: keep}
		err := c.QueryRow(ctx, floorSQL, int64(upTo), keep, core.KeepIDs).Scan(&t.floor, &t.at, &t.settle)
		if errors.Is(err, pgx.ErrNoRows) {
			return trim{}, nil
		}
		return t, err
	})
}

// step trims the histories of the next keys.
func (t trim) step(ctx context.Context, c *pgxpool.Conn) (trim, error) {
	next := t.floor
	if err := c.QueryRow(ctx, stepSQL, t.at, t.floor, stepRows).Scan(&next); err != nil {
		return t, err
	}
	if next == 0 {
		next = t.floor // no change is left there
	}
	args := []any{t.at, next, t.floor, int64(t.keep), t.settle}
	b := &pgx.Batch{}
	b.Queue(trimming(), args...)
	if t.settle < t.floor {
		b.Queue(veiling(), args...)
	}
	if next <= t.settle {
		b.Queue(trimmedSQL, next, t.keep)
	}
	err := c.SendBatch(ctx, b).Close()
	t.at = next
	return t, err
}
