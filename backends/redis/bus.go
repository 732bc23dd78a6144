package redis

import (
	"context"
	"sync"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"

	"github.com/dynconfig/dynconfig/core"
)

var _ core.Bus = (*Bus)(nil)

// Bus carries hints by publish and subscribe, on a channel of the deployment and its epoch: what a node has still to say of
// a history that was lost, nobody hears who follows the new one.
type Bus struct {
	redis  *Redis
	out    *outbox
	epoch  atomic.Pointer[string]
	ctx    context.Context // ends with the Bus
	cancel context.CancelFunc

	mu        sync.Mutex
	closed    bool
	listeners sync.WaitGroup
}

// hintBytes is how large a commit may be to go with its hint.
const hintBytes = 64 << 10

func newBus(r *Redis) *Bus {
	b := &Bus{redis: r, out: newOutbox(r.client, r.o.Timeout, r.monitor)}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.enter("")
	return b
}

// enter notes the epoch that the store is in.
func (b *Bus) enter(epoch string) {
	if old := b.epoch.Load(); old == nil || *old != epoch {
		b.epoch.Store(&epoch)
	}
}

func (b *Bus) channel() string { return b.redis.o.Prefix + ":hints:{" + *b.epoch.Load() + "}" }

// close ends what listens, and lets the last hints out.
func (b *Bus) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.cancel()
	b.listeners.Wait()
	b.out.close()
}

// Announce implements core.Bus. It does not wait: a hint that does not get through is made up for by polling.
func (b *Bus) Announce(_ context.Context, c core.Commit) error {
	if b.redis.monitor.away() {
		b.out.dropped.Add(1)
		return nil
	}
	channel, hint := b.channel(), encodeHint(b.redis.node, &c, hintBytes)
	if !b.out.put(len(hint), func(ctx context.Context, p goredis.Pipeliner) { p.Publish(ctx, channel, hint) }) {
		return errClosed
	}
	return nil
}

// Listen implements core.Bus. Besides the first, a hint of head 0 follows every time that Redis confirms the subscription.
func (b *Bus) Listen(ctx context.Context) (<-chan core.Hint, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, core.Errorf(core.ErrUnavailable, "Call was given up").Because(err)
	}
	hints := make(chan core.Hint, hintBacklog)
	hints <- core.Hint{}
	b.listeners.Go(func() {
		defer close(hints)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(b.ctx, cancel)()
		b.listen(ctx, hints)
	})
	return hints, nil
}
