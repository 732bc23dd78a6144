package redis

import (
	"context"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/dynconfig/dynconfig/core"
)

const (
	hintBacklog = 256                    // hints that wait for a listener; the oldest are dropped
	listenPause = 200 * time.Millisecond // between subscriptions
	listenCheck = time.Second            // how often a silent subscription is asked whether it lives
	listenCalls = 4                      // it is dead when it has not answered for so many times as long as one call may take
)

// listen subscribes, again and again, until ctx ends.
func (b *Bus) listen(ctx context.Context, hints chan core.Hint) {
	for ctx.Err() == nil {
		b.follow(ctx, hints)
		select {
		case <-ctx.Done():
		case <-time.After(listenPause):
		}
	}
}

// follow passes on the hints of one subscription until it is cut, the epoch is another, or ctx ends.
func (b *Bus) follow(ctx context.Context, hints chan core.Hint) {
	channel := b.channel()
	ctx, cut := context.WithCancel(ctx)
	defer cut()
	sub := b.redis.client.Subscribe(ctx, channel)
	var heard atomic.Bool
	b.listeners.Go(func() {
		defer func() { _ = sub.Close() }() // which ends Receive
		b.attend(ctx, sub, channel, &heard)
	})
	for {
		m, err := sub.Receive(ctx)
		if err != nil || b.channel() != channel {
			return
		}
		heard.Store(true)
		switch m := m.(type) {
		case *goredis.Subscription:
			give(hints, core.Hint{})
		case *goredis.Message:
			switch h, err := decodeHint([]byte(m.Payload), b.redis.node); {
			case err != nil: // it still says that there is something
				give(hints, core.Hint{})
			case h.Head > 0:
				give(hints, h)
			}
		}
	}
}

// attend returns when a subscription does not answer, the epoch is another, or ctx ends.
func (b *Bus) attend(ctx context.Context, sub *goredis.PubSub, channel string, heard *atomic.Bool) {
	ticker := time.NewTicker(listenCheck)
	defer ticker.Stop()
	for checks := 0; ; checks++ { // since it was heard
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if heard.Swap(false) {
			checks = 0
		}
		silent := time.Duration(checks) * listenCheck
		if silent > 0 && silent >= listenCalls*b.redis.o.Timeout || b.channel() != channel || sub.Ping(ctx) != nil {
			return
		}
	}
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
