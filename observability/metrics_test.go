package observability

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/conformance"
	"github.com/dynconfig/dynconfig/core"
)

// scrape returns what Prometheus would read.
func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("answered %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func holds(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
}

func TestRequestsAreCountedByRouteMethodAndStatus(t *testing.T) {
	m := NewMetrics("v1")
	m.Observe("/keys/{key}", "GET", 200, 3*time.Millisecond)
	m.Observe("/keys/{key}", "GET", 200, 30*time.Millisecond)
	m.Observe("/keys/{key}", "PUT", 429, time.Millisecond)
	holds(t, scrape(t, m),
		`dynconfig_http_requests_total{method="GET",route="/keys/{key}",status="200"} 2`,
		`dynconfig_http_requests_total{method="PUT",route="/keys/{key}",status="429"} 1`,
		`dynconfig_http_request_duration_seconds_bucket{method="GET",route="/keys/{key}",le="0.005"} 1`,
		`dynconfig_http_request_duration_seconds_count{method="GET",route="/keys/{key}"} 2`,
	)
	if !strings.Contains(scrape(t, m), `dynconfig_build_info{go="go1.`) || !strings.Contains(scrape(t, m), `version="v1"} 1`) {
		t.Error("no dynconfig_build_info")
	}
}

func TestRequestsInFlightAreCountedWhileTheyLast(t *testing.T) {
	m := NewMetrics("")
	handler := m.InFlight(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		holds(t, scrape(t, m), "dynconfig_http_requests_in_flight 1")
		panic(http.ErrAbortHandler)
	}))
	func() {
		defer func() { _ = recover() }()
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	}()
	holds(t, scrape(t, m), "dynconfig_http_requests_in_flight 0")
}

func TestFiguresOfOtherPartsAreReadAtEachScrape(t *testing.T) {
	m := NewMetrics("")
	engine := core.Stats{Keys: 3, Tombstones: 1, Watchers: 9000, Patterns: 2, Head: 417, Delivered: 5, CacheHits: 8}
	m.Engine(func() core.Stats { return engine })
	m.PolicyLoads(func() PolicyLoads { return PolicyLoads{Loads: 7, Failures: 8, Degraded: true} })
	m.Policy(func() PolicyStats {
		return PolicyStats{Hits: 1, Misses: 2, Evaluations: 3, Errors: 4, Evaluating: 1500 * time.Millisecond}
	})
	m.AuditLog(func() AuditStats { return AuditStats{Written: 6, Lost: 7} })
	holds(t, scrape(t, m),
		"dynconfig_keys 3", "dynconfig_tombstones 1", "dynconfig_watchers 9000", "dynconfig_watch_patterns 2", "dynconfig_revision 417",
		"dynconfig_watch_events_total 5", "dynconfig_value_cache_hits_total 8", "# TYPE dynconfig_watch_events_total counter",
		"dynconfig_policy_cache_hits_total 1", "dynconfig_policy_cache_misses_total 2", "dynconfig_policy_evaluations_total 3",
		"dynconfig_policy_errors_total 4", "dynconfig_policy_evaluation_seconds_total 1.5",
		"dynconfig_policy_loads_total 7", "dynconfig_policy_load_failures_total 8", "dynconfig_policy_degraded 1",
		"dynconfig_audit_records_total 6", "dynconfig_audit_lost_total 7", "dynconfig_audit_waiting 0",
	)
	engine.Keys = 4
	holds(t, scrape(t, m), "dynconfig_keys 4")
}

func TestDecoratedStoreKeepsTheContract(t *testing.T) {
	decorated := func(b *core.Backend) *core.Backend {
		b.Store = NewStore(b.Store, b.Name, NewMetrics(""), noop.NewTracerProvider().Tracer(""))
		return b
	}
	open := func(testing.TB) *core.Backend { return decorated(memory.Open(memory.Options{Shared: true})) }
	peer := func(_ testing.TB, b *core.Backend) *core.Backend {
		return decorated(b.Store.(*Store).inner.(*memory.Store).Peer())
	}
	conformance.Run(t, open, conformance.Options{Peer: peer})
}

func TestCallsOfTheStoreAreCountedByOperationAndOutcomeAndNameNoKey(t *testing.T) {
	m := NewMetrics("")
	b := memory.Open(memory.Options{})
	defer func() { _ = b.Close() }()
	s := NewStore(b.Store, b.Name, m, noop.NewTracerProvider().Tracer(""))
	key, zero := core.MakeKey(core.DefaultEnv, core.KindKey, "app.secret"), int64(0)
	txn := core.Txn{
		Meta:   core.Meta{ID: "1", Time: time.Now().UTC(), Author: "alice"},
		Checks: []core.Check{{Key: key, Version: &zero}},
		Ops:    []core.Op{{Key: key, Do: core.OpPut, Doc: core.Doc{Value: []byte(`"hunter2"`)}}},
	}
	if _, err := s.Commit(t.Context(), txn); err != nil {
		t.Fatal(err)
	}
	txn.Meta.ID = "2"
	if _, err := s.Commit(t.Context(), txn); !errors.Is(err, core.ErrConflict) {
		t.Fatalf("got %v, want ErrConflict", err)
	}
	must(s.Get(t.Context(), []core.Key{key}, 0))
	must(s.List(t.Context(), core.Query{}))
	must(s.Log(t.Context(), 0, 10))
	must(s.History(t.Context(), key, 0, 10))
	must(s.Sync(t.Context()))
	must(s.Status(t.Context()))
	if err := s.Compact(t.Context(), 1, 1); err != nil {
		t.Fatal(err)
	}
	text := scrape(t, m)
	holds(t, text,
		`dynconfig_store_operations_total{backend="memory",operation="commit",outcome="conflict"} 1`,
		`dynconfig_store_operation_duration_seconds_count{backend="memory",operation="commit"} 2`,
	)
	for _, op := range []string{"commit", "get", "list", "log", "history", "sync", "status", "compact"} {
		holds(t, text, `dynconfig_store_operations_total{backend="memory",operation="`+op+`",outcome="ok"} 1`)
	}
	for _, secret := range []string{"app.secret", "hunter2", "alice"} {
		if strings.Contains(text, secret) {
			t.Errorf("the figures hold %q", secret)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	m := NewMetrics("")
	b.ReportAllocs()
	for b.Loop() {
		m.Observe("/keys/{key}", "GET", 200, time.Millisecond)
	}
}
