package core

import (
	"context"
	"runtime"
	"sync"
)

// Answer is what one transaction of a batch got.
type Answer struct {
	Commit Commit
	Err    error
}

// Group merges the Commit calls that wait into batches, so that a backend pays for one transaction of its database where
// many callers wrote. A batch is what arrived while the last one ran: there are no timers, and a caller who is alone does
// not wait for others.
type Group struct {
	limits Limits
	run    func(ctx context.Context, batch []Txn) []Answer
	ctx    context.Context // the backend's: no caller's cancellation ends a batch that others share
	cancel context.CancelFunc
	loop   sync.WaitGroup

	mu      sync.Mutex
	queue   []*waiting
	running bool
	closed  bool
}

// waiting is a Commit call in the queue.
type waiting struct {
	txn    Txn
	bytes  int
	gone   bool // the caller gave up before the batch began
	answer chan Answer
}

// NewGroup returns a Group over run, which evaluates a batch in order, writes it and returns an Answer for each of its
// transactions. run is never called twice at once. A batch keeps to limits; run may split it further.
func NewGroup(limits Limits, run func(ctx context.Context, batch []Txn) []Answer) *Group {
	ctx, cancel := context.WithCancel(context.Background())
	return &Group{limits: limits, run: run, ctx: ctx, cancel: cancel}
}

// Commit has txn committed in the next batch. ErrTooLarge if it is larger than the limits allow; ErrUnavailable if ctx
// ends first, which leaves the outcome unknown, or once the Group is closed. Nobody changes what txn points to: a batch
// may go on reading it after its caller has left.
func (g *Group) Commit(ctx context.Context, txn Txn) (Commit, error) {
	bytes, err := g.limits.measure(txn)
	if err != nil {
		return Commit{}, err
	}
	if err := ctx.Err(); err != nil {
		return Commit{}, Errorf(ErrUnavailable, "Call was given up").Because(err)
	}
	w := &waiting{txn: txn, bytes: bytes, answer: make(chan Answer, 1)}
	if err := g.enqueue(w); err != nil {
		return Commit{}, err
	}
	select {
	case a := <-w.answer:
		return a.Commit, a.Err
	case <-ctx.Done():
		g.mu.Lock()
		w.gone = true
		g.mu.Unlock()
		return Commit{}, Errorf(ErrUnavailable, "Call was given up").Because(ctx.Err())
	}
}

// Close ends the Group: calls that wait get ErrUnavailable, a batch under way is cancelled and waited for.
func (g *Group) Close() {
	g.mu.Lock()
	g.closed = true
	for _, w := range g.queue {
		w.answer <- Answer{Err: errClosed()}
	}
	g.queue = nil
	g.mu.Unlock()
	g.cancel()
	g.loop.Wait()
}

func errClosed() error {
	return Errorf(ErrUnavailable, "Store is closed")
}

// measure returns the bytes of values in txn, or ErrTooLarge. A decorator may have added MaxOverhead to each value.
func (l Limits) measure(txn Txn) (int, error) {
	bytes := 0
	for _, op := range txn.Ops {
		bytes += max(0, len(op.Doc.Value)-MaxOverhead)
	}
	if len(txn.Ops) > l.MaxOps {
		return 0, Errorf(ErrTooLarge, "More than %d operations in one transaction", l.MaxOps)
	}
	if bytes > l.MaxBytes {
		return 0, Errorf(ErrTooLarge, "More than %d bytes of values in one transaction", l.MaxBytes)
	}
	return bytes, nil
}

func (g *Group) enqueue(w *waiting) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return errClosed()
	}
	g.queue = append(g.queue, w)
	if !g.running {
		g.running = true
		g.loop.Go(g.drain)
	}
	return nil
}

// drain runs batches until nobody waits.
func (g *Group) drain() {
	for batch := g.next(); batch != nil; batch = g.next() {
		txns := make([]Txn, len(batch))
		for i, w := range batch {
			txns[i] = w.txn
		}
		for i, a := range g.run(g.ctx, txns) {
			batch[i].answer <- a
		}
		runtime.Gosched() // those just answered may write again: let them join the next batch
	}
}

// next takes a batch from the queue's front: at least one call, and more while they fit the limits.
func (g *Group) next() []*waiting {
	g.mu.Lock()
	defer g.mu.Unlock()
	var batch []*waiting
	ops, bytes, taken := 0, 0, 0
	for _, w := range g.queue {
		if !w.gone {
			ops, bytes = ops+max(1, len(w.txn.Ops)), bytes+w.bytes
			if len(batch) > 0 && (ops > g.limits.MaxOps || bytes > g.limits.MaxBytes) {
				break
			}
			batch = append(batch, w)
		}
		taken++
	}
	clear(g.queue[:taken])
	g.queue = g.queue[taken:]
	if len(g.queue) == 0 {
		g.queue = nil
	}
	g.running = batch != nil
	return batch
}
