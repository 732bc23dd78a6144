package observability

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dynconfig/dynconfig/core"
)

// PolicyStats are a policy's figures, counted since the start. They are of the shape of policy.Stats, to which they convert.
type PolicyStats struct {
	Hits, Misses uint64
	Evaluations  uint64
	Errors       uint64
	Evaluating   time.Duration
	Generation   uint64
}

// Engine shows an engine's figures, asked for at each scrape.
func (m *Metrics) Engine(stats func() core.Stats) {
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	m.registry.MustRegister(&polled[core.Stats]{stats: stats, figures: []figure[core.Stats]{
		newFigure("keys", "Live entries in the index.", gauge, func(s core.Stats) float64 { return float64(s.Keys) }),
		newFigure("tombstones", "Deleted entries in the index.", gauge, func(s core.Stats) float64 { return float64(s.Tombstones) }),
		newFigure("revision", "The newest revision applied on this node.", gauge, func(s core.Stats) float64 { return float64(s.Head) }),
		newFigure("watchers", "Watchers connected.", gauge, func(s core.Stats) float64 { return float64(s.Watchers) }),
		newFigure("watch_patterns", "Patterns that watchers follow.", gauge, func(s core.Stats) float64 { return float64(s.Patterns) }),
		newFigure("watch_events_total", "Events handed to watchers.", counter, func(s core.Stats) float64 { return float64(s.Delivered) }),
		newFigure("watch_conflated_total", "Events that stood for several because the watcher was far behind.", counter, func(s core.Stats) float64 { return float64(s.Conflated) }),
		newFigure("watch_resets_total", "Resets sent to watchers.", counter, func(s core.Stats) float64 { return float64(s.Resets) }),
		newFigure("watch_replays_total", "Watchers that caught up from the log.", counter, func(s core.Stats) float64 { return float64(s.Replays) }),
		newFigure("commits_total", "Commits applied on this node.", counter, func(s core.Stats) float64 { return float64(s.Commits) }),
		newFigure("write_retries_total", "Writes tried again after a lost race or an unknown outcome.", counter, func(s core.Stats) float64 { return float64(s.Retries) }),
		newFigure("expired_total", "Keys whose expiry this node committed.", counter, func(s core.Stats) float64 { return float64(s.Expired) }),
		newFigure("value_cache_hits_total", "Values found in this process.", counter, func(s core.Stats) float64 { return float64(s.CacheHits) }),
		newFigure("value_cache_misses_total", "Values fetched from the store.", counter, func(s core.Stats) float64 { return float64(s.CacheMisses) }),
	}})
}

// Policy shows a policy's figures, asked for at each scrape.
func (m *Metrics) Policy(stats func() PolicyStats) {
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	m.registry.MustRegister(&polled[PolicyStats]{stats: stats, figures: []figure[PolicyStats]{
		newFigure("policy_cache_hits_total", "Decisions answered from the cache.", counter, func(s PolicyStats) float64 { return float64(s.Hits) }),
		newFigure("policy_cache_misses_total", "Decisions that the cache could have held and did not.", counter, func(s PolicyStats) float64 { return float64(s.Misses) }),
		newFigure("policy_evaluations_total", "Runs of the policy.", counter, func(s PolicyStats) float64 { return float64(s.Evaluations) }),
		newFigure("policy_errors_total", "Runs of the policy that failed, and denied.", counter, func(s PolicyStats) float64 { return float64(s.Errors) }),
		newFigure("policy_evaluation_seconds_total", "Time spent in runs of the policy.", counter, func(s PolicyStats) float64 { return s.Evaluating.Seconds() }),
		newFigure("policy_generation", "Changes when the policy does.", gauge, func(s PolicyStats) float64 { return float64(s.Generation) }),
	}})
}

// PolicyLoads are how often another policy was put in force, counted since the start. They are of the shape of
// authoring.Stats, to which they convert.
type PolicyLoads struct {
	Loads, Failures uint64
	Degraded        bool
}

// PolicyLoads shows how policies are loaded, asked for at each scrape.
func (m *Metrics) PolicyLoads(stats func() PolicyLoads) {
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	m.registry.MustRegister(&polled[PolicyLoads]{stats: stats, figures: []figure[PolicyLoads]{
		newFigure("policy_loads_total", "Policies that were put in force on this node.", counter, func(s PolicyLoads) float64 { return float64(s.Loads) }),
		newFigure("policy_load_failures_total", "Times that a newer policy was not put in force.", counter, func(s PolicyLoads) float64 { return float64(s.Failures) }),
		newFigure("policy_degraded", "1 while a newer policy is not in force, or the shipped rules decide whatever is stored.", gauge, func(s PolicyLoads) float64 {
			if s.Degraded {
				return 1
			}
			return 0
		}),
	}})
}

// AuditLog shows an audit log's figures, asked for at each scrape.
func (m *Metrics) AuditLog(stats func() AuditStats) {
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	m.registry.MustRegister(&polled[AuditStats]{stats: stats, figures: []figure[AuditStats]{
		newFigure("audit_records_total", "Audit records written.", counter, func(s AuditStats) float64 { return float64(s.Written) }),
		newFigure("audit_lost_total", "Audit records lost because the log could not be written for too long.", counter, func(s AuditStats) float64 { return float64(s.Lost) }),
		newFigure("audit_waiting", "Audit records in memory.", gauge, func(s AuditStats) float64 { return float64(s.Waiting) }),
	}})
}

// DecisionLog shows a decision log's figures, asked for at each scrape.
func (m *Metrics) DecisionLog(stats func() JournalStats) {
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	m.registry.MustRegister(&polled[JournalStats]{stats: stats, figures: []figure[JournalStats]{
		newFigure("decision_records_total", "Records of the policy's decisions written; one may stand for several.", counter, func(s JournalStats) float64 { return float64(s.Written) }),
		newFigure("decision_lost_total", "Records of decisions lost, because they were too many or the log could not be written for too long.", counter, func(s JournalStats) float64 { return float64(s.Lost) }),
		newFigure("decision_waiting", "Records of decisions that wait to be written.", gauge, func(s JournalStats) float64 { return float64(s.Waiting) }),
	}})
}

// polled is a set of figures read from one answer of stats, so that they belong together.
type polled[S any] struct {
	stats   func() S
	figures []figure[S]
}

type figure[S any] struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(S) float64
}

func newFigure[S any](name, help string, kind prometheus.ValueType, read func(S) float64) figure[S] {
	return figure[S]{prometheus.NewDesc("dynconfig_"+name, help, nil, nil), kind, read}
}

// Describe is called by the registry.
func (p *polled[S]) Describe(out chan<- *prometheus.Desc) {
	for _, f := range p.figures {
		out <- f.desc
	}
}

// Collect is called by the registry at each scrape.
func (p *polled[S]) Collect(out chan<- prometheus.Metric) {
	s := p.stats()
	for _, f := range p.figures {
		out <- prometheus.MustNewConstMetric(f.desc, f.kind, f.read(s))
	}
}
