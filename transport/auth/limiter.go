package auth

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// Shape of a Limiter: how many locks, and how many names each keeps apart.
const (
	limiterShards = 32
	shardNames    = 1 << 13
	sweepFrom     = 256
	sweepPause    = time.Second // between sweeps of a shard that has no room
)

// Limiter counts requests in this process: for each name a token bucket, refilled over a minute.
//
// A bucket is one number, the instant at which it is full again: a request moves it by a minute's share and passes if it
// is then no more than a minute ahead. A bucket that is full again says nothing and is dropped. Memory is bounded: where a
// shard has no room for another name, the rest share one bucket, so that there is never more than the limit.
type Limiter struct {
	limit  int
	share  int64 // nanoseconds of one request, rounded up: never more than the limit
	now    func() time.Time
	start  time.Time
	seed   maphash.Seed
	shards [limiterShards]shard
}

type shard struct {
	mu      sync.Mutex
	full    map[string]int64 // since start, in nanoseconds
	rest    int64            // the bucket of names that found no room, and where new names start
	sweepAt int              // how many names to look for full buckets at
	noRoom  int64            // until then there is no room, without looking
}

var _ core.Limiter = (*Limiter)(nil)

// NewLimiter returns a Limiter of limit requests a minute; 0 is no limit. A nil now is time.Now.
func NewLimiter(limit int, now func() time.Time) *Limiter {
	if now == nil {
		now = time.Now
	}
	l := &Limiter{limit: limit, now: now, start: now(), seed: maphash.MakeSeed()}
	if limit > 0 {
		l.share = (int64(time.Minute) + int64(limit) - 1) / int64(limit)
	}
	for i := range l.shards {
		l.shards[i].full = map[string]int64{}
		l.shards[i].sweepAt = sweepFrom
	}
	return l
}

// Take asks for n requests; 0 only looks. What is not allowed costs nothing. It never fails.
func (l *Limiter) Take(_ context.Context, name string, n int) (core.Budget, error) {
	if l.limit <= 0 {
		return core.Budget{Allowed: true}, nil
	}
	now := int64(l.now().Sub(l.start))
	s := &l.shards[maphash.String(l.seed, name)%limiterShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	full, own := s.full[name]
	if !own {
		full, own = s.rest, s.room(now)
	}
	full = max(full, now)
	after := full + int64(max(n, 0))*l.share
	wait := after - now - int64(l.limit)*l.share
	if n > l.limit || wait > 0 {
		return l.budget(false, full-now, wait), nil
	}
	switch {
	case !own:
		s.rest = after
	case after > now:
		s.full[name] = after
	}
	return l.budget(true, after-now, 0), nil
}

func (l *Limiter) budget(allowed bool, used, wait int64) core.Budget {
	return core.Budget{
		Allowed: allowed, Limit: l.limit, Remaining: int((int64(l.limit)*l.share - used) / l.share),
		Reset: time.Duration(used), Retry: time.Duration(wait),
	}
}

// room makes room for another name, if there can be some, by dropping the buckets that are full again.
func (s *shard) room(now int64) bool {
	if len(s.full) < s.sweepAt {
		return true
	}
	if now < s.noRoom {
		return false
	}
	kept := map[string]int64{} // a map does not shrink
	for name, full := range s.full {
		if full > now {
			kept[name] = full
		}
	}
	s.full = kept
	s.sweepAt = min(max(sweepFrom, 2*len(kept)), shardNames)
	if len(kept) >= shardNames {
		s.noRoom = now + int64(sweepPause)
		return false
	}
	return true
}
