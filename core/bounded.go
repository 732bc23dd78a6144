package core

import "context"

// bounded is the store as those see it for whom somebody waits: it answers in time, or is away.
type bounded struct {
	Store
	engine *Engine
}

// ask calls the store for an answer that is not waited for without end.
func ask[T any](ctx context.Context, s *bounded, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, s.engine.within(storeTimeout))
	defer cancel()
	answer, err := call(ctx)
	return answer, s.engine.told(err)
}

func (s *bounded) Commit(ctx context.Context, txn Txn) (Commit, error) {
	c, err := s.Store.Commit(ctx, txn) // its callers set the limit, and repeat it within
	return c, s.engine.told(err)
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
