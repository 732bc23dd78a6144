package observability

import (
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the server's figures, dynconfig_…, for Prometheus. Labels hold route templates, methods, statuses,
// operations and names of backends, so that their number is bounded whatever clients send.
//
// They are kept with the Prometheus library itself and not through OpenTelemetry's: a counter is then one atomic addition
// on the way of every request, and what other parts count already is read when someone asks.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	answers  sync.Map // of answer to series: found again without joining labels

	operations       *prometheus.CounterVec
	operationSeconds *prometheus.HistogramVec
}

// NewMetrics returns figures that start at zero. version is the server's own.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dynconfig_http_requests_total", Help: "Answers, by route template, method and status.",
		}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "dynconfig_http_request_duration_seconds", Help: "Time to answer; a held read or a watch counts whole.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60},
		}, []string{"route", "method"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dynconfig_http_requests_in_flight", Help: "Requests under way, watches included.",
		}),
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dynconfig_store_operations_total", Help: "Calls of the store, by how they ended.",
		}, []string{"backend", "operation", "outcome"}),
		operationSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "dynconfig_store_operation_duration_seconds", Help: "Time that a call of the store takes.",
			Buckets: []float64{.00001, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5},
		}, []string{"backend", "operation"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "dynconfig_build_info", Help: "Always 1.",
		ConstLabels: prometheus.Labels{"version": version, "go": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(
		m.requests, m.seconds, m.inFlight, m.operations, m.operationSeconds, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// ServeHTTP answers GET /metrics.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}

// Observe counts an answer. The route is a template ("/keys/{key}"), never a path, and the method one of a known few.
func (m *Metrics) Observe(route, method string, status int, took time.Duration) {
	a := answer{route, method, status}
	found, ok := m.answers.Load(a)
	if !ok {
		found, _ = m.answers.LoadOrStore(a, &series{
			count:   m.requests.WithLabelValues(route, method, strconv.Itoa(status)),
			seconds: m.seconds.WithLabelValues(route, method),
		})
	}
	s := found.(*series)
	s.count.Inc()
	s.seconds.Observe(took.Seconds())
}

// answer is what answers are counted by.
type answer struct {
	route, method string
	status        int
}

// series are the figures of an answer.
type series struct {
	count   prometheus.Counter
	seconds prometheus.Observer
}

// InFlight counts the requests that next is at work on.
func (m *Metrics) InFlight(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.inFlight.Inc()
		defer m.inFlight.Dec()
		next.ServeHTTP(w, r)
	})
}
