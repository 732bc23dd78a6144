package redis

import (
	"context"
	_ "embed"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

//go:embed bucket.lua
var bucket string

// settler is the one goroutine that talks to Redis about leases: with one round trip about all that were asked for during
// the last.
type settler struct {
	script *goredis.Script
	wake   chan struct{} // capacity 1
	cancel context.CancelFunc
	done   sync.WaitGroup
	trips  atomic.Uint64
	asked  atomic.Uint64 // leases

	mu      sync.Mutex
	pending []*lease
	closed  bool
}

const (
	settleBatch = 256
	sweepEvery  = time.Second
)

func (l *Limiter) start() {
	ctx, cancel := context.WithCancel(context.Background())
	l.script, l.wake, l.cancel = goredis.NewScript(bucket), make(chan struct{}, 1), cancel
	l.done.Go(func() { l.run(ctx) })
}

// close gives back what this node holds.
func (l *Limiter) close() {
	l.settler.mu.Lock()
	l.closed = true
	l.settler.mu.Unlock()
	l.cancel()
	l.done.Wait()
	l.settle(l.take(), l.block) // somebody waits for these
	var held []*lease
	l.each(func(e *lease) {
		if e.tokens > 0 {
			held = append(held, e)
			e.settlement = &settlement{done: make(chan struct{})}
		}
	})
	l.settle(held, 0)
}

// ask has a lease settled soon, and reports false when there will be no more settling; its shard is locked.
func (l *Limiter) ask(e *lease) bool {
	if e.settlement != nil {
		return true
	}
	l.settler.mu.Lock()
	defer l.settler.mu.Unlock()
	if l.closed {
		return false
	}
	e.settlement = &settlement{done: make(chan struct{})}
	l.pending = append(l.pending, e)
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return true
}

func (l *Limiter) take() []*lease {
	l.settler.mu.Lock()
	defer l.settler.mu.Unlock()
	pending := l.pending
	l.pending = nil
	return pending
}

func (l *Limiter) run(ctx context.Context) {
	ticker := time.NewTicker(min(sweepEvery, l.life/4))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
			l.settle(l.take(), l.block)
		case <-ticker.C:
			l.sweep()
		}
	}
}

// sweep renews leases that are used, gives those back that are not, and forgets principals who went away.
func (l *Limiter) sweep() {
	now := time.Now()
	l.each(func(e *lease) {
		switch e.lapse(now); {
		case now.Sub(e.asked) < l.life/2 || e.settlement != nil:
		case e.tokens > 0 || e.spent > 0:
			l.ask(e)
		default:
			delete(e.shard.leases, e.principal)
		}
	})
}

func (l *Limiter) each(do func(e *lease)) {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		for _, e := range s.leases {
			do(e)
		}
		s.mu.Unlock()
	}
}

// settle tells Redis of leases and takes in what it grants, up to block tokens each.
func (l *Limiter) settle(leases []*lease, block int) {
	for len(leases) > 0 {
		n := min(len(leases), settleBatch)
		l.settleBatch(leases[:n], block)
		leases = leases[n:]
	}
}

func (l *Limiter) settleBatch(leases []*lease, block int) {
	sent := time.Now()
	reports := make([]report, len(leases))
	for i, e := range leases {
		e.shard.mu.Lock()
		reports[i] = e.report(sent, block)
		e.shard.mu.Unlock()
	}
	l.trips.Add(1)
	l.asked.Add(uint64(len(reports)))
	answers := l.call(reports)
	now := time.Now()
	for i, e := range leases {
		answer, err := answers[i].Int64Slice()
		if err != nil {
			l.redis.monitor.failed(err)
		}
		e.shard.mu.Lock()
		if err != nil || len(answer) != 3 {
			e.fail()
		} else {
			e.granted(int(answer[0]), answer[1] == 1, float64(answer[2])/1000, sent, now, l.life)
		}
		e.settled(err)
		e.shard.mu.Unlock()
	}
}

// call runs the script for every report, in one round trip but for the first time on a server.
func (l *Limiter) call(reports []report) []*goredis.Cmd {
	answers := make([]*goredis.Cmd, len(reports))
	if l.redis.monitor.away() {
		for i := range answers {
			answers[i] = goredis.NewCmd(context.Background())
			answers[i].SetErr(errAway)
		}
		return answers
	}
	ctx, cancel := context.WithTimeout(context.Background(), l.redis.o.Timeout)
	defer cancel()
	run := func(which func(i int) bool, eval func(p goredis.Pipeliner, r report) *goredis.Cmd) {
		_, _ = l.redis.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for i, r := range reports {
				if which(i) {
					answers[i] = eval(p, r)
				}
			}
			return nil
		})
	}
	run(func(int) bool { return true },
		func(p goredis.Pipeliner, r report) *goredis.Cmd {
			return l.script.EvalSha(ctx, p, l.keys(r), l.args(r)...)
		})
	unknown := func(i int) bool { return goredis.HasErrorPrefix(answers[i].Err(), "NOSCRIPT") }
	for i := range answers {
		if unknown(i) {
			run(unknown, func(p goredis.Pipeliner, r report) *goredis.Cmd {
				return l.script.Eval(ctx, p, l.keys(r), l.args(r)...)
			})
			break
		}
	}
	return answers
}

func (l *Limiter) keys(r report) []string { return []string{r.key} }

func (l *Limiter) args(r report) []any {
	return []any{l.redis.node, l.limit, l.life.Microseconds(), r.spent, r.back, r.need, r.want}
}
