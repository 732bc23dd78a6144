package conformance

import (
	"context"
	"math/rand/v2"
	"sync/atomic"

	"github.com/dynconfig/dynconfig/core"
)

var _ core.Store = (*flaky)(nil)

// flaky is a Store behind a bad line: while it is bad, one call in eight fails, before it arrived or after it was carried
// out.
type flaky struct {
	core.Store
	bad atomic.Bool
}

var errLine = core.Errorf(core.ErrUnavailable, "The line is bad")

func (f *flaky) before() error {
	if f.bad.Load() && rand.IntN(16) == 0 {
		return errLine
	}
	return nil
}

// over returns the answer of a call, unless the line breaks around it.
func over[T any](f *flaky, call func() (T, error)) (T, error) {
	var none T
	if err := f.before(); err != nil {
		return none, err
	}
	answer, err := call()
	if lost := f.before(); lost != nil {
		return none, lost
	}
	return answer, err
}

func (f *flaky) Commit(ctx context.Context, txn core.Txn) (core.Commit, error) {
	return over(f, func() (core.Commit, error) { return f.Store.Commit(ctx, txn) })
}

func (f *flaky) Sync(ctx context.Context) (core.Revision, error) {
	return over(f, func() (core.Revision, error) { return f.Store.Sync(ctx) })
}

func (f *flaky) Get(ctx context.Context, keys []core.Key, atLeast core.Revision) (core.Page, error) {
	return over(f, func() (core.Page, error) { return f.Store.Get(ctx, keys, atLeast) })
}

func (f *flaky) List(ctx context.Context, q core.Query) (core.Page, error) {
	return over(f, func() (core.Page, error) { return f.Store.List(ctx, q) })
}

func (f *flaky) Log(ctx context.Context, after core.Revision, limit int) ([]core.Commit, error) {
	return over(f, func() ([]core.Commit, error) { return f.Store.Log(ctx, after, limit) })
}
