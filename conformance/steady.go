package conformance

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

var _ core.Store = (*steady)(nil)

// steady is a Store as the suite asks it. It asks again where ErrUnavailable says nothing about the store's promises: when
// the call had to wait until it was given up, since a machine or its disk may stand still for longer than a backend waits,
// and after a Break, since each lost connection may be noticed by a call of its own. What is refused at once, without a
// Break, is the answer.
type steady struct {
	core.Store
	shaken *atomic.Bool // there was a Break
}

// long is more than a healthy store on a busy machine needs, and less than any backend's patience with its server.
const long = time.Second

// calmly returns the answer of a call, the last one if there is none to be had.
func calmly[T any](ctx context.Context, s *steady, call func() (T, error)) (T, error) {
	for end := time.Now().Add(patience); ; {
		begin := time.Now()
		answer, err := call()
		lost := errors.Is(err, core.ErrUnavailable) && (s.shaken.Load() || time.Since(begin) > long)
		if !lost || time.Now().After(end) {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return answer, err
		case <-retry():
		}
	}
}

// Commit repeats with the same ID; without one the first attempt may have happened, and a second would be another commit.
func (s *steady) Commit(ctx context.Context, txn core.Txn) (core.Commit, error) {
	if txn.Meta.ID == "" {
		return s.Store.Commit(ctx, txn)
	}
	return calmly(ctx, s, func() (core.Commit, error) { return s.Store.Commit(ctx, txn) })
}

func (s *steady) Sync(ctx context.Context) (core.Revision, error) {
	return calmly(ctx, s, func() (core.Revision, error) { return s.Store.Sync(ctx) })
}

func (s *steady) Get(ctx context.Context, keys []core.Key, atLeast core.Revision) (core.Page, error) {
	return calmly(ctx, s, func() (core.Page, error) { return s.Store.Get(ctx, keys, atLeast) })
}

func (s *steady) List(ctx context.Context, q core.Query) (core.Page, error) {
	return calmly(ctx, s, func() (core.Page, error) { return s.Store.List(ctx, q) })
}

func (s *steady) Log(ctx context.Context, after core.Revision, limit int) ([]core.Commit, error) {
	return calmly(ctx, s, func() ([]core.Commit, error) { return s.Store.Log(ctx, after, limit) })
}

func (s *steady) History(ctx context.Context, key core.Key, before core.Revision, limit int) ([]core.Record, error) {
	return calmly(ctx, s, func() ([]core.Record, error) { return s.Store.History(ctx, key, before, limit) })
}

func (s *steady) Compact(ctx context.Context, upTo core.Revision, keep int) error {
	_, err := calmly(ctx, s, func() (struct{}, error) { return struct{}{}, s.Store.Compact(ctx, upTo, keep) })
	return err
}

func (s *steady) Status(ctx context.Context) (core.Status, error) {
	return calmly(ctx, s, func() (core.Status, error) { return s.Store.Status(ctx) })
}
