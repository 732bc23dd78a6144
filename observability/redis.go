package observability

import "github.com/prometheus/client_golang/prometheus"

// RedisStats are the figures of what nodes share in Redis. They are of the shape of redis.Stats, to which they convert.
type RedisStats struct {
	Away                     bool
	HintsDropped             uint64
	CacheHits, CacheMisses   uint64
	CacheDropped             uint64
	Settlements, LeasesAsked uint64
}

// Redis shows the figures, asked for at each scrape.
func (m *Metrics) Redis(stats func() RedisStats) {
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	m.registry.MustRegister(&polled[RedisStats]{stats: stats, figures: []figure[RedisStats]{
		newFigure("redis_away", "1 while Redis does not answer.", gauge, func(s RedisStats) float64 {
			if s.Away {
				return 1
			}
			return 0
		}),
		newFigure("redis_hints_dropped_total", "Hints of commits that did not go out.", counter, func(s RedisStats) float64 { return float64(s.HintsDropped) }),
		newFigure("redis_cache_hits_total", "Values found in Redis.", counter, func(s RedisStats) float64 { return float64(s.CacheHits) }),
		newFigure("redis_cache_misses_total", "Values that were not in Redis, or not asked for because it is away.", counter, func(s RedisStats) float64 { return float64(s.CacheMisses) }),
		newFigure("redis_cache_dropped_total", "Values that were not put into Redis.", counter, func(s RedisStats) float64 { return float64(s.CacheDropped) }),
		newFigure("redis_limit_calls_total", "Round trips about leases of requests.", counter, func(s RedisStats) float64 { return float64(s.Settlements) }),
		newFigure("redis_limit_leases_total", "Leases of requests that were asked for.", counter, func(s RedisStats) float64 { return float64(s.LeasesAsked) }),
	}})
}
