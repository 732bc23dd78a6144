package core

import "sync/atomic"

// Stats are figures of the Engine for metrics: gauges as they are now, counters since the start.
type Stats struct {
	Keys, Tombstones                      int // gauges: entries in the index
	Watchers, Patterns                    int // gauges
	Head                                  Revision
	Delivered, Conflated, Resets, Replays uint64 // counters: events to watchers, conflated ones, resets, catch-ups
	Commits, Retries, Expired             uint64 // counters: commits applied, writes tried again, keys expired
	CacheHits, CacheMisses                uint64
}

type counters struct {
	delivered, conflated, resets, replays, retries, expired atomic.Uint64
}

// Stats returns the Engine's figures.
func (e *Engine) Stats() Stats {
	s := Stats{
		Head: e.tail.head(), Commits: e.tail.commits.Load(),
		Delivered: e.stats.delivered.Load(), Conflated: e.stats.conflated.Load(), Resets: e.stats.resets.Load(),
		Replays: e.stats.replays.Load(), Retries: e.stats.retries.Load(), Expired: e.stats.expired.Load(),
		CacheHits: e.values.hits.Load(), CacheMisses: e.values.misses.Load(),
	}
	s.Keys, s.Tombstones = e.index.counts()
	s.Watchers, s.Patterns = e.hub.counts()
	return s
}
