package conformance

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dynconfig/dynconfig/core"
)

var lifeMutants = []mutant{
	{"has another epoch after each start", "the epoch is the store's own, on every node", func() func(*core.Backend) {
		var starts counter
		return func(b *core.Backend) {
			n := starts.next()
			patched{status: func(ctx context.Context, s core.Store) (core.Status, error) {
				st, err := s.Status(ctx)
				st.Epoch += strconv.Itoa(n)
				return st, err
			}}.infect(b)
		}
	}},
	{"gives all stores one epoch", "the epoch is the store's own, on every node", patch(patched{
		status: func(ctx context.Context, s core.Store) (core.Status, error) {
			st, err := s.Status(ctx)
			st.Epoch = strings.Repeat("a", 8)
			return st, err
		},
	})},
	{"writes to find out how it is", "status writes nothing", patch(patched{
		status: func(ctx context.Context, s core.Store) (core.Status, error) {
			_, _ = s.Commit(ctx, core.Txn{})
			return s.Status(ctx)
		},
	})},
	{"fails to close again", "closing twice does nothing", func() func(*core.Backend) {
		return func(b *core.Backend) {
			var closed atomic.Bool
			end := b.Close
			b.Close = func() error {
				if closed.Swap(true) {
					return io.ErrClosedPipe
				}
				return end()
			}
		}
	}},
	{"goes on when it is closed", "a closed store is unavailable", func() func(*core.Backend) {
		return func(b *core.Backend) { b.Close = func() error { return nil } }
	}},
	{"shows the errors of its library", "every error is one of ours", patch(patched{
		history: func(ctx context.Context, s core.Store, key core.Key, before core.Revision, limit int) ([]core.Record, error) {
			h, err := s.History(ctx, key, before, limit)
			var own *core.Error
			if errors.As(err, &own) {
				err = own.Cause
			}
			return h, err
		},
	})},
	{"ends a batch with the caller who began it", "a caller who gives up aborts nobody else", func() func(*core.Backend) {
		var aborted atomic.Bool
		return patched{commit: func(ctx context.Context, s core.Store, txn core.Txn) (core.Commit, error) {
			if ctx.Err() != nil {
				aborted.Store(true)
			} else if aborted.Swap(false) {
				return core.Commit{}, core.Errorf(core.ErrUnavailable, "The batch was given up")
			}
			return s.Commit(ctx, txn)
		}}.infect
	}},
	{"forgets the last commit on reopen", "a restart forgets nothing", func() func(*core.Backend) {
		return func(b *core.Backend) { b.Store = &lazy{Store: b.Store} }
	}},
	{"acknowledges what a killed server did not get", "an acknowledged commit survives a kill", patch(patched{
		commit: func(ctx context.Context, s core.Store, txn core.Txn) (core.Commit, error) {
			c, err := s.Commit(ctx, txn)
			if errors.Is(err, core.ErrUnavailable) {
				return core.Commit{Revision: 1, Meta: txn.Meta}, nil
			}
			return c, err
		},
	})},
}

// lazy keeps the newest transaction in memory until the next call.
type lazy struct {
	core.Store
	mu   sync.Mutex
	late *core.Txn
}

func (s *lazy) flush(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.late != nil {
		_, _ = s.Store.Commit(ctx, *s.late)
		s.late = nil
	}
}

func (s *lazy) Commit(ctx context.Context, txn core.Txn) (core.Commit, error) {
	s.flush(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	log, err := s.Store.Log(ctx, 0, 1<<20)
	if err != nil {
		return core.Commit{}, err
	}
	page, err := s.Store.Get(ctx, core.Touched(txn), 0)
	if err != nil {
		return core.Commit{}, err
	}
	clock := txn.Meta.Time
	if len(log) > 0 {
		clock = log[len(log)-1].Meta.Time
	}
	c, err := core.NewOverlay(page.Revision, clock, page.Entries).Apply(txn)
	if err == nil {
		s.late = &txn
	}
	return c, err
}

func (s *lazy) Sync(ctx context.Context) (core.Revision, error) {
	s.flush(ctx)
	return s.Store.Sync(ctx)
}

func (s *lazy) Get(ctx context.Context, keys []core.Key, atLeast core.Revision) (core.Page, error) {
	s.flush(ctx)
	return s.Store.Get(ctx, keys, atLeast)
}

func (s *lazy) List(ctx context.Context, q core.Query) (core.Page, error) {
	s.flush(ctx)
	return s.Store.List(ctx, q)
}

func (s *lazy) Log(ctx context.Context, after core.Revision, limit int) ([]core.Commit, error) {
	s.flush(ctx)
	return s.Store.Log(ctx, after, limit)
}

func (s *lazy) Status(ctx context.Context) (core.Status, error) {
	s.flush(ctx)
	return s.Store.Status(ctx)
}
