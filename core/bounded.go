package core

import (
	"context"
	"errors"
)

// bounded is the store as those see it for whom somebody waits: it answers in time or is away. What else it has to say of why it
// cannot serve, such as that it is full, is told as long as the log can be read.
type bounded struct {
	Store
	engine *Engine
}

// ask calls the store for an answer that is not waited for without end.
func ask[T any](ctx context.Context, s *bounded, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, s.engine.within(storeTimeout))
	defer cancel()
	answer, err := call(ctx)
	return answer, s.told(err)
}

// told returns what the caller is told of an error. That the caller has left is not the store's doing.
func (s *bounded) told(err error) error {
	switch {
	case err == nil || errors.Is(err, context.Canceled):
	case errors.Is(err, context.DeadlineExceeded), s.engine.tail.away.Load() && errors.Is(KindOf(err), ErrUnavailable):
		return errAway().Because(err)
	}
	return err
}

func (s *bounded) Commit(ctx context.Context, txn Txn) (Commit, error) {
	c, err := s.Store.Commit(ctx, txn) // its callers set the limit, and repeat it within
	return c, s.told(err)
}

func (s *bounded) Sync(ctx context.Context) (Revision, error) { return ask(ctx, s, s.Store.Sync) }

func (s *bounded) Get(ctx context.Context, keys []Key, atLeast Revision) (Page, error) {
	return ask(ctx, s, func(ctx context.Context) (Page, error) { return s.Store.Get(ctx, keys, atLeast) })
}

func (s *bounded) Log(ctx context.Context, after Revision, limit int) ([]Commit, error) {
	return ask(ctx, s, func(ctx context.Context) ([]Commit, error) { return s.Store.Log(ctx, after, limit) })
}

func (s *bounded) History(ctx context.Context, key Key, before Revision, limit int) ([]Record, error) {
	return ask(ctx, s, func(ctx context.Context) ([]Record, error) { return s.Store.History(ctx, key, before, limit) })
}
