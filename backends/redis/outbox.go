package redis

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// outbox sends commands that nobody waits for, in order, all that have gathered at once. It is bounded, and drops what it
// has no room for, and everything while Redis is away.
type outbox struct {
	client  goredis.UniversalClient
	timeout time.Duration // of one command
	monitor *monitor
	queue   chan message
	waiting atomic.Int64 // bytes
	dropped atomic.Uint64

	mu     sync.Mutex
	closed bool
	done   chan struct{}
}

// message is a command yet to be sent.
type message struct {
	size int
	send func(context.Context, goredis.Pipeliner)
}

const (
	outboxMessages = 1024
	outboxBytes    = 8 << 20
	outboxBatch    = 64
)

func newOutbox(client goredis.UniversalClient, timeout time.Duration, m *monitor) *outbox {
	o := &outbox{client: client, timeout: timeout, monitor: m, queue: make(chan message, outboxMessages), done: make(chan struct{})}
	go o.run()
	return o
}

// put takes a command of about size bytes. It does not wait, and reports false only after close.
func (o *outbox) put(size int, send func(context.Context, goredis.Pipeliner)) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	if o.monitor.away() || o.waiting.Load() > outboxBytes {
		o.dropped.Add(1)
		return true
	}
	select {
	case o.queue <- message{size, send}:
		o.waiting.Add(int64(size))
	default:
		o.dropped.Add(1)
	}
	return true
}

// close sends what waits, if Redis takes it, and waits until that is done.
func (o *outbox) close() {
	o.mu.Lock()
	if !o.closed {
		o.closed = true
		close(o.queue)
	}
	o.mu.Unlock()
	<-o.done
}

func (o *outbox) run() {
	defer close(o.done)
	for first := range o.queue {
		batch := append(make([]message, 0, outboxBatch), first)
		for more := true; more && len(batch) < outboxBatch; {
			select {
			case m, ok := <-o.queue:
				if more = ok; ok {
					batch = append(batch, m)
				}
			default:
				more = false
			}
		}
		o.send(batch)
	}
}

func (o *outbox) send(batch []message) {
	for _, m := range batch {
		o.waiting.Add(-int64(m.size))
	}
	if o.monitor.away() {
		o.dropped.Add(uint64(len(batch)))
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*o.timeout)
	defer cancel()
	_, err := o.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for _, m := range batch {
			m.send(ctx, p)
		}
		return nil
	})
	if err != nil {
		o.monitor.failed(err)
		o.dropped.Add(uint64(len(batch)))
	}
}
