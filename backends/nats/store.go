package nats

import (
	"context"
	"errors"
	"sync"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/dynconfig/dynconfig/core"
)

var _ core.Store = (*Store)(nil)

// Store is a core.Store in a JetStream stream.
type Store struct {
	conn    *natsgo.Conn
	js      jetstream.JetStream
	options Options
	limits  core.Limits
	codec   codec
	group   *core.Group
	cache   *cache
	line    *line
	syncs   barriers

	ctx    context.Context // ends with the Store
	cancel context.CancelFunc
	loops  sync.WaitGroup

	writing sync.Mutex // one writer of the log at a time, in this process

	mu     sync.RWMutex
	view   *view            // nil: not loaded yet
	stream jetstream.Stream // that of the view
	doubt  bool             // it may not be what the stream holds
	fault  error            // what last ended the following of the stream
	moved  chan struct{}    // closed when something of these changes
	again  func()           // ends the present following of the stream
	loaded string           // the epoch that the caller has loaded: the first, or that of its last List from the beginning
	closed bool

	hearing sync.Mutex
	hears   map[*listener]bool

	due  chan struct{} // capacity 1: a snapshot is due
	mine own           // the last record of this node
	read int           // messages of the log that were read since it was loaded, for tests
}

func newStore(conn *natsgo.Conn, js jetstream.JetStream, o Options) *Store {
	s := &Store{
		conn: conn, js: js, options: o, codec: newCodec(), cache: newCache(), line: newLine(conn),
		limits: core.Limits{MaxOps: maxOps, MaxBytes: core.MinBytes, Shared: true, Durable: o.SyncAlways},
		moved:  make(chan struct{}), again: func() {}, hears: map[*listener]bool{}, due: make(chan struct{}, 1),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.group = core.NewGroup(s.limits, s.batch)
	return s
}

func (s *Store) close() {
	s.mu.Lock()
	s.closed = true
	s.wake()
	s.mu.Unlock()
	s.group.Close()
	s.cancel()
	s.loops.Wait()
	s.endHints()
	s.conn.Close()
	s.line.broke()
}

// Commit implements core.Store.
func (s *Store) Commit(ctx context.Context, txn core.Txn) (core.Commit, error) {
	return s.group.Commit(ctx, txn)
}

// Status implements core.Store: it asks the stream how far it is, and waits until this node is as far.
func (s *Store) Status(ctx context.Context) (core.Status, error) {
	ctx, cancel := s.timeout(ctx)
	defer cancel()
	if err := s.alive(ctx); err != nil {
		return core.Status{}, err
	}
	before := s.stands()
	var stream jetstream.Stream
	err := s.retry(ctx, func(ctx context.Context) (err error) {
		stream, err = s.js.Stream(ctx, s.options.Prefix)
		return err
	})
	var last uint64
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		s.suspect(before.keys)
	case err != nil:
		return core.Status{}, fault(err)
	default:
		info := stream.CachedInfo()
		last = info.State.LastSeq
		if !hasMajority(info.Cluster) {
			return core.Status{}, core.Errorf(core.ErrUnavailable, "NATS stream has no majority of its servers")
		}
		if held, _ := layoutOf(s.options.Prefix, info.Config.Subjects); held != before.keys || last < before.seq || info.State.FirstSeq > before.selfSeq {
			s.suspect(before.keys)
			last = 0
		}
	}
	var st core.Status
	err = s.await(ctx, func(v *view) bool {
		st = core.Status{Epoch: v.keys.epoch, Head: v.head, Floor: v.floor}
		return v.seq >= last
	})
	return st, err
}

// stands returns where this node is in the stream.
func (s *Store) stands() place {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.view == nil {
		return place{}
	}
	return s.view.place()
}

// current returns the stream that the view is of.
func (s *Store) current() jetstream.Stream {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.stream
}

// suspect has the view compared with the stream before it is used again, unless that happened meanwhile.
func (s *Store) suspect(of layout) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.view != nil && s.view.keys == of && !s.doubt {
		s.doubt = true
		s.again()
	}
}

// await waits until the view satisfies cond, which is called with the view held still.
func (s *Store) await(ctx context.Context, cond func(*view) bool) error {
	for {
		s.mu.RLock()
		moved, why, closed := s.moved, s.fault, s.closed
		known, fresh := s.view != nil && !s.doubt, s.view == nil
		done := known && cond(s.view)
		s.mu.RUnlock()
		switch {
		case closed:
			return errClosed
		case done:
			return nil
		case !known && why != nil && (!errors.Is(why, core.ErrUnavailable) || fresh && isSetting(why)):
			return why // it does not go away by waiting
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return core.Errorf(core.ErrUnavailable, "Store does not answer").Because(errors.Join(ctx.Err(), why))
		}
	}
}

// begin lets the caller start over in the epoch that there is.
func (s *Store) begin(ctx context.Context) error {
	ctx, cancel := s.timeout(ctx)
	defer cancel()
	var epoch string
	if err := s.await(ctx, func(v *view) bool { epoch = v.keys.epoch; return true }); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded = epoch
	return nil
}

// use calls f with the view held still, if it is of the epoch that the caller has loaded.
func (s *Store) use(ctx context.Context, f func(*view)) error {
	known := false
	err := s.await(ctx, func(v *view) bool {
		if known = v.keys.epoch == s.loaded; known {
			f(v)
		}
		return true
	})
	if err == nil && !known {
		return errOther
	}
	return err
}

// errOther says that the caller has yet to load another epoch: what it works out and looks for is of the old one. Status tells
// of it, which does not end it, since others ask for the health.
var errOther = core.Errorf(core.ErrUnavailable, "Store began a new epoch")

// wake tells those who wait that something changed; s.mu is held.
func (s *Store) wake() {
	close(s.moved)
	s.moved = make(chan struct{})
}

var errClosed = core.Errorf(core.ErrUnavailable, "Store is closed")

// alive reports why a call cannot be served.
func (s *Store) alive(ctx context.Context) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return errClosed
	}
	if err := ctx.Err(); err != nil {
		return core.Errorf(core.ErrUnavailable, "Call was given up").Because(err)
	}
	return nil
}

// timeout bounds a call that waits for the server.
func (s *Store) timeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.options.Timeout)
}
