package postgres

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dynconfig/dynconfig/core"
)

var _ core.Store = (*Store)(nil)

// Store is a core.Store in PostgreSQL.
type Store struct {
	pool    *pgxpool.Pool
	timeout time.Duration
	node    string // in the notifications of this handle; empty: it sends none
	group   *core.Group
	ctx     context.Context // of every call of the database: no caller's end cuts a connection
	cancel  context.CancelFunc

	mu     sync.Mutex
	closed bool
	reads  sync.WaitGroup

	// lineage is the history that the reader of the log follows. A connection that leads to another one serves nobody until
	// somebody lists the store from its beginning, which is how a node starts over.
	lineage atomic.Pointer[string]
}

func newStore(pool *pgxpool.Pool, limits core.Limits, o Options) *Store {
	s := &Store{pool: pool, timeout: o.Timeout}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if !o.Quiet {
		s.node = nodeID()
	}
	s.group = core.NewGroup(limits, writer{s}.batch)
	return s
}

// Commit implements core.Store.
func (s *Store) Commit(ctx context.Context, txn core.Txn) (core.Commit, error) {
	if err := s.alive(ctx); err != nil {
		return core.Commit{}, err
	}
	return s.group.Commit(ctx, txn)
}

// Sync implements core.Store: what was acknowledged is seen by every later statement.
func (s *Store) Sync(ctx context.Context) (core.Revision, error) {
	return read(ctx, s, func(ctx context.Context, c *pgxpool.Conn) (head core.Revision, err error) {
		if err := s.follows(c); err != nil {
			return 0, err
		}
		err = c.QueryRow(ctx, syncSQL).Scan(&head)
		return head, err
	})
}

// Status implements core.Store.
func (s *Store) Status(ctx context.Context) (core.Status, error) {
	return read(ctx, s, func(ctx context.Context, c *pgxpool.Conn) (st core.Status, err error) {
		if err := c.QueryRow(ctx, statusSQL).Scan(&st.Epoch, &st.Head, &st.Floor, &st.Clock); err != nil {
			return core.Status{}, err
		}
		st.Epoch += factsOf(c.Conn()).lineage
		st.Clock = st.Clock.UTC()
		return st, nil
	})
}

// follows refuses a connection that leads to another history than the one known here.
func (s *Store) follows(c *pgxpool.Conn) error {
	if factsOf(c.Conn()).lineage != *s.lineage.Load() {
		return unavailable("Store was set back or replaced", errLineage)
	}
	return nil
}

// adopt makes the history that a connection leads to the one known here.
func (s *Store) adopt(c *pgxpool.Conn) {
	lineage := factsOf(c.Conn()).lineage
	s.lineage.Store(&lineage)
}

// close ends every call, and returns when none is left.
func (s *Store) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.group.Close()
	s.cancel()
	s.reads.Wait()
}

func (s *Store) alive(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.aliveLocked(ctx)
}

func (s *Store) aliveLocked(ctx context.Context) error {
	if s.closed {
		return core.Errorf(core.ErrUnavailable, "Store is closed")
	}
	if err := ctx.Err(); err != nil {
		return core.Errorf(core.ErrUnavailable, "Call was given up").Because(err)
	}
	return nil
}

// cut reports whether an error says that a connection was lost which had been made before, and drops the others, which
// are probably lost as well: it is worth to try again with a new one.
func (s *Store) cut(err error) bool {
	var refused *pgconn.ConnectError
	if err == nil || errors.As(err, &refused) || s.ctx.Err() != nil {
		return false
	}
	var pg *pgconn.PgError // 57P…: the server ended it, 25P…: because it was idle
	lost := pgconn.SafeToRetry(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.As(err, &pg) && (strings.HasPrefix(pg.Code, "57P") || strings.HasPrefix(pg.Code, "25P"))
	if lost {
		s.pool.Reset()
	}
	return lost
}

// begin runs f in a goroutine of its own, which close waits for.
func (s *Store) begin(ctx context.Context, f func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.aliveLocked(ctx); err != nil {
		return err
	}
	s.reads.Go(f)
	return nil
}

// read runs f with a connection. A caller who gives up does not wait for it; the connection, which the driver would close
// in the middle of an answer, lives on.
func read[T any](ctx context.Context, s *Store, f func(ctx context.Context, c *pgxpool.Conn) (T, error)) (T, error) {
	var none T
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	err := s.begin(ctx, func() {
		ctx, cancel := context.WithTimeout(s.ctx, s.timeout)
		defer cancel()
		var a answer
		for range maxTries {
			err := s.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) (err error) {
				a.value, err = f(ctx, c)
				return err
			})
			if a.err = fault(err); !s.cut(err) {
				break
			}
		}
		done <- a
	})
	if err != nil {
		return none, err
	}
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		return none, core.Errorf(core.ErrUnavailable, "Call was given up").Because(ctx.Err())
	}
}
