package redis

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

var _ core.Limiter = (*Limiter)(nil)

// Limiter counts requests of each principal over all nodes. Redis keeps the buckets, and leases tokens to a node in small
// blocks, which the node spends without asking: a request waits for Redis only if the node holds no token of its principal.
//
// What is leased counts against the limit, so that there is never more than the limit. What lies idle on other nodes makes
// it less: at most a block a node, and once more as much where a bucket was full and a lease not yet accounted for; that is
// 2 × nodes × block in all. A node that is killed costs its block, once.
type Limiter struct {
	redis  *Redis
	limit  int
	block  int // tokens that a node holds of a principal
	life   time.Duration
	seed   maphash.Seed
	shards [shards]shard
	settler
}

// Shape of a Limiter: how many locks, how many principals each knows, how much of the limit a block is.
const (
	shards     = 32
	shardNames = 1 << 13
	blocks     = 50
)

// trustFor is how long a node believes that there was nothing left, without asking: tokens may have been given back.
const trustFor = time.Second

type shard struct {
	mu     sync.Mutex
	leases map[string]*lease // by principal
}

// errCrowded says that there are more principals than a node can count.
var errCrowded = core.Errorf(core.ErrUnavailable, "Too many principals to count")

func newLimiter(r *Redis) *Limiter {
	l := &Limiter{redis: r, limit: r.o.Limit, block: max(1, r.o.Limit/blocks), life: r.o.Lease, seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i].leases = map[string]*lease{}
	}
	l.start()
	return l
}

// Take implements core.Limiter; 0 requests only look. What is not allowed costs nothing.
func (l *Limiter) Take(ctx context.Context, principal string, n int) (core.Budget, error) {
	for {
		if l.redis.monitor.away() {
			return core.Budget{}, errAway
		}
		budget, wait, err := l.try(principal, max(n, 0))
		if wait == nil {
			return budget, err
		}
		select {
		case <-wait.done:
			if wait.err != nil {
				return core.Budget{}, core.Errorf(core.ErrUnavailable, "Redis does not count").Because(wait.err)
			}
		case <-ctx.Done():
			return core.Budget{}, core.Errorf(core.ErrUnavailable, "Call was given up").Because(ctx.Err())
		}
	}
}

// try spends tokens that this node holds, or refuses if it knows that there are none. Else it returns what to wait for
// before the next try.
func (l *Limiter) try(principal string, n int) (core.Budget, *settlement, error) {
	s := &l.shards[maphash.String(l.seed, principal)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.leases[principal]
	if e == nil {
		if len(s.leases) >= shardNames {
			return core.Budget{}, nil, errCrowded
		}
		e = &lease{shard: s, principal: principal, key: l.key(principal), lost: true}
		s.leases[principal] = e
	}
	now := time.Now()
	e.lapse(now)
	known := now.Sub(e.asked) < trustFor
	left := l.left(e, now)
	switch {
	case n > l.limit:
		return l.budget(e, left, n), nil, nil
	case e.tokens >= n && (n > 0 || known):
		e.tokens -= n
		e.spent += n
		if e.tokens < l.block/2 && left >= 1 {
			l.ask(e) // before somebody has to wait
		}
		b := l.budget(e, left, 0)
		b.Allowed = true
		return b, nil, nil
	case known && float64(e.tokens)+left < float64(n):
		return l.budget(e, left, n), nil, nil
	}
	e.need = max(e.need, n)
	if !l.ask(e) {
		return core.Budget{}, nil, errClosed
	}
	return core.Budget{}, e.settlement, nil
}

// key is the name of a bucket.
func (l *Limiter) key(principal string) string {
	return l.redis.o.Prefix + ":limit:{" + name(principal) + "}"
}

// left is about what is in the bucket beside what this node holds: at most, since other nodes take from it, too.
func (l *Limiter) left(e *lease, now time.Time) float64 {
	return min(e.left+now.Sub(e.asked).Minutes()*float64(l.limit), float64(l.limit-e.tokens))
}

// budget describes what is left, and when n may be had.
func (l *Limiter) budget(e *lease, left float64, n int) core.Budget {
	have := float64(e.tokens) + max(left, 0)
	b := core.Budget{Limit: l.limit, Remaining: min(int(have), l.limit), Reset: l.flow(float64(l.limit) - have)}
	if n > 0 {
		b.Retry = max(l.flow(min(float64(n), float64(l.limit))-have), time.Millisecond)
	}
	return b
}

// flow is how long tokens take to flow in.
func (l *Limiter) flow(tokens float64) time.Duration {
	return time.Duration(max(tokens, 0) / float64(l.limit) * float64(time.Minute))
}
