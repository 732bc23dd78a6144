package etcd

import (
	"context"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/connectivity"

	"github.com/dynconfig/dynconfig/core"
)

var _ core.Bus = (*Bus)(nil)

// Bus hears of commits through an etcd watch on the log: etcd itself announces every record that is put there.
type Bus struct {
	store  *Store
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	closed  bool
	streams sync.WaitGroup
}

const (
	hintBytes   = 64 << 10 // the largest log record whose commits a hint carries
	hintBacklog = 256      // hints that wait for a listener; the oldest are dropped
	watchPause  = 200 * time.Millisecond
)

func newBus(s *Store) *Bus {
	ctx, cancel := context.WithCancel(context.Background())
	return &Bus{store: s, ctx: ctx, cancel: cancel}
}

func (b *Bus) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.cancel()
	b.streams.Wait()
}

// Announce implements core.Bus. There is nothing to do: the log is watched.
func (b *Bus) Announce(context.Context, core.Commit) error { return b.store.alive() }

// Listen implements core.Bus.
func (b *Bus) Listen(ctx context.Context) (<-chan core.Hint, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, core.Errorf(core.ErrUnavailable, "Store is closed")
	}
	if err := ctx.Err(); err != nil {
		return nil, core.Errorf(core.ErrUnavailable, "Call was given up").Because(err)
	}
	hints := make(chan core.Hint, hintBacklog)
	b.streams.Go(func() {
		defer close(hints)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(b.ctx, cancel)()
		for ctx.Err() == nil {
			b.watch(ctx, hints)
			select {
			case <-ctx.Done():
			case <-time.After(watchPause): // etcd cut the watch: do not ask again at once
			}
		}
	})
	return hints, nil
}

// watch passes on hints until etcd cuts the watch or ctx ends. Every watch begins with a hint of head 0: what came
// before it may have been missed.
func (b *Bus) watch(ctx context.Context, hints chan core.Hint) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	_, left := b.store.members.current()
	b.streams.Go(func() {
		b.awaitCut(ctx)
		cancel()
	})
	b.streams.Go(func() {
		select {
		case <-left:
		case <-ctx.Done():
		}
		cancel()
	})
	keys := b.store.keys
	events := b.store.client.Watch(ctx, keys.log(0), clientv3.WithRange(keys.logEnd()), clientv3.WithFilterDelete(), clientv3.WithCreatedNotify())
	for r := range events {
		if r.Canceled || r.Err() != nil || over(left) { // etcd's client goes on at the next member without a word
			return
		}
		if r.Created {
			give(hints, core.Hint{})
		}
		for _, e := range r.Events {
			announce(hints, e.Kv.Key, e.Kv.Value)
		}
	}
}

// over reports whether a member was left.
func over(left <-chan struct{}) bool {
	select {
	case <-left:
		return true
	default:
		return false
	}
}

// awaitCut waits until the connection is lost. etcd's client would resume the watch without a word, also at a server
// that was set back.
func (b *Bus) awaitCut(ctx context.Context) {
	conn := b.store.client.ActiveConnection()
	if conn == nil { // a server in this process
		<-ctx.Done()
		return
	}
	for state := conn.GetState(); ; {
		if !conn.WaitForStateChange(ctx, state) || state == connectivity.Ready {
			return
		}
		state = conn.GetState()
	}
}

// announce turns a log record into hints: one for each commit in it or, where it is large, one for the last.
func announce(hints chan core.Hint, key, record []byte) {
	if len(record) <= hintBytes {
		if commits, refs, err := decodeBatch(record); err == nil && len(refs) == 0 {
			for i := range commits {
				give(hints, core.Hint{Head: commits[i].Revision, Commit: &commits[i]})
			}
			return
		}
	}
	give(hints, core.Hint{Head: revisionOf(key)})
}

// give hands over a hint without waiting: a listener that is behind loses the oldest, which the newest makes superfluous.
func give(hints chan core.Hint, h core.Hint) {
	for {
		select {
		case hints <- h:
			return
		default:
		}
		select {
		case <-hints:
		default:
		}
	}
}
