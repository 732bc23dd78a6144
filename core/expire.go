package core

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"
)

// expiry ends keys at their instant, by ordinary commits that check the version they end: nodes that race do no harm. Reads
// do not depend on it, they look at the time themselves.
type expiry struct {
	engine *Engine
	mu     sync.Mutex
	due    dueHeap
	sooner chan struct{} // capacity 1: something is due before what run waits for
}

type dueHeap []*item

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].expires < h[j].expires }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(*item)) }
func (h *dueHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return it
}

func newExpiry(e *Engine) *expiry { return &expiry{engine: e, sooner: make(chan struct{}, 1)} }

// note is told of every item that expires. Those that change before stay in the heap until their time.
func (x *expiry) note(it *item) {
	x.mu.Lock()
	defer x.mu.Unlock()
	heap.Push(&x.due, it)
	if x.due[0] == it {
		select {
		case x.sooner <- struct{}{}:
		default:
		}
	}
}

// Limits of the work of expiry.
const (
	expiryWorkers = 32
	expiryRetry   = time.Second      // after a failure, and while the clock is off
	expiryLook    = 10 * time.Second // how long a timer runs at most: clocks jump
)

// take returns items that are due and still what the index shows, and how long until the next one is.
func (x *expiry) take(now time.Time) (due []*item, next time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.due) > 0 && x.due[0].over(now) && len(due) < 1024 {
		it := heap.Pop(&x.due).(*item)
		if x.engine.index.at(it.key) == it {
			due = append(due, it)
		}
	}
	next = expiryLook
	if len(x.due) > 0 {
		next = min(next, time.UnixMicro(x.due[0].expires).Sub(now))
	}
	return due, max(next, 0)
}

func (x *expiry) run(ctx context.Context) {
	e := x.engine
	for ctx.Err() == nil {
		due, next := x.take(e.now())
		if len(due) > 0 && !x.trusted(ctx) {
			x.again(due)
			next = expiryRetry
		} else {
			x.expireAll(ctx, due)
		}
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-x.sooner:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// trusted reports whether this node's clock may end keys.
func (x *expiry) trusted(ctx context.Context) bool {
	status, err := x.engine.store.Status(ctx)
	if err != nil {
		return false
	}
	if !x.engine.clockAgrees(status) {
		x.engine.log.Warn("this node's clock is off the store's; it leaves expiry to others", "store", status.Clock)
		return false
	}
	return true
}

func (x *expiry) again(items []*item) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, it := range items {
		heap.Push(&x.due, it)
	}
}

func (x *expiry) expireAll(ctx context.Context, due []*item) {
	work := make(chan *item)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed []*item
	for range min(expiryWorkers, len(due)) {
		wg.Go(func() {
			for it := range work {
				if err := x.engine.expire(ctx, it); err != nil && !errors.Is(err, ErrConflict) {
					mu.Lock()
					failed = append(failed, it)
					mu.Unlock()
				}
			}
		})
	}
	for _, it := range due {
		work <- it
	}
	close(work)
	wg.Wait()
	if len(failed) > 0 && ctx.Err() == nil {
		x.engine.log.Warn("keys cannot be expired now; they are not shown, and tried again", "count", len(failed))
		x.again(failed)
		_ = pause(ctx, expiryRetry) // ended by ctx, which the caller looks at
	}
}

// expire commits the end of one item at the version it has. An idempotency entry leaves nothing behind.
func (e *Engine) expire(ctx context.Context, it *item) error {
	ctx, cancel := context.WithTimeout(ctx, writeFor)
	defer cancel()
	version := it.version
	op := Op{Key: it.key, Do: OpDelete, Doc: Doc{Attrs: map[string]string{AttrExpired: "1"}}}
	env, kind, name, _ := it.key.Split()
	if kind == KindIdempotency {
		op = Op{Key: it.key, Do: OpPurge}
	}
	c, err := e.commit(ctx, Txn{
		Meta: Meta{Attrs: map[string]string{"by": "expiry"}}, Checks: []Check{{Key: it.key, Version: &version}}, Ops: []Op{op},
	})
	if err != nil {
		var conflict *ConflictError
		if errors.As(err, &conflict) {
			_ = e.tail.wait(ctx, conflict.Head) // so that the caller sees what came between
		}
		return err
	}
	if kind != KindIdempotency {
		e.stats.expired.Add(1)
		e.options.Audit.Append(AuditEntry{
			Time: e.now(), Actor: serverName, Action: "expire", Kind: kind, Key: name,
			Environment: e.index.environmentName(env), Outcome: OutcomeAllowed, Revision: c.Revision,
		})
	}
	return nil
}
