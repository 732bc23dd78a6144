package policy

import (
	"sync/atomic"
	"time"
)

// Stats are figures for metrics, counted since the start.
type Stats struct {
	Hits, Misses uint64        // accesses answered from the cache, and those that could have been but were not yet
	Evaluations  uint64        // runs of a policy: misses, and every access under a policy whose answers cannot be kept
	Errors       uint64        // runs that failed
	Evaluating   time.Duration // time spent in all runs
	Generation   uint64        // of the policy in force
}

type counters struct{ hits, misses, evaluations, errors, nanoseconds atomic.Uint64 }

func (c *counters) evaluated(took time.Duration, err error) {
	c.evaluations.Add(1)
	c.nanoseconds.Add(uint64(max(took, 0)))
	if err != nil {
		c.errors.Add(1)
	}
}

// Stats returns the figures as they are now.
func (a *Authorizer) Stats() Stats {
	return Stats{
		Hits: a.stats.hits.Load(), Misses: a.stats.misses.Load(), Evaluations: a.stats.evaluations.Load(),
		Errors: a.stats.errors.Load(), Evaluating: time.Duration(a.stats.nanoseconds.Load()), Generation: a.Generation(),
	}
}
