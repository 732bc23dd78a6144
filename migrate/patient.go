package migrate

import (
	"context"
	"errors"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// patient is a Store that asks again while the one behind it is away: a copy that takes an hour need not end because a
// leader changes. A Commit is repeated with its ID, so that it happens once. Nothing is compacted.
type patient struct{ core.Store }

// attempts is how often it asks: for about a minute.
const attempts = 25

func again[T any](ctx context.Context, call func() (T, error)) (T, error) {
	for n := 0; ; n++ {
		v, err := call()
		if n == attempts || !errors.Is(err, core.ErrUnavailable) {
			return v, err
		}
		select {
		case <-ctx.Done():
			return v, err
		case <-time.After(min(50*time.Millisecond<<n, 3*time.Second)):
		}
	}
}

// Commit implements core.Store.
func (p patient) Commit(ctx context.Context, txn core.Txn) (core.Commit, error) {
	return again(ctx, func() (core.Commit, error) { return p.Store.Commit(ctx, txn) })
}

// Sync implements core.Store.
func (p patient) Sync(ctx context.Context) (core.Revision, error) {
	return again(ctx, func() (core.Revision, error) { return p.Store.Sync(ctx) })
}

// Get implements core.Store.
func (p patient) Get(ctx context.Context, keys []core.Key, atLeast core.Revision) (core.Page, error) {
	return again(ctx, func() (core.Page, error) { return p.Store.Get(ctx, keys, atLeast) })
}

// List implements core.Store.
func (p patient) List(ctx context.Context, q core.Query) (core.Page, error) {
	return again(ctx, func() (core.Page, error) { return p.Store.List(ctx, q) })
}

// Log implements core.Store.
func (p patient) Log(ctx context.Context, after core.Revision, limit int) ([]core.Commit, error) {
	return again(ctx, func() ([]core.Commit, error) { return p.Store.Log(ctx, after, limit) })
}

// History implements core.Store.
func (p patient) History(ctx context.Context, key core.Key, before core.Revision, limit int) ([]core.Record, error) {
	return again(ctx, func() ([]core.Record, error) { return p.Store.History(ctx, key, before, limit) })
}

// Status implements core.Store.
func (p patient) Status(ctx context.Context) (core.Status, error) {
	return again(ctx, func() (core.Status, error) { return p.Store.Status(ctx) })
}
