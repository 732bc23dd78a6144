package observability

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/core"
)

// receiver is an OTLP/HTTP collector.
type receiver struct {
	mu    sync.Mutex
	raw   bytes.Buffer // all that came
	spans []*spans.Span
}

func (c *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		body = must(gzip.NewReader(r.Body))
	}
	text := must(io.ReadAll(body))
	var request collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(text, &request); err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, "no", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw.Write(text)
	for _, resource := range request.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (c *receiver) named(name string) *spans.Span {
	for _, s := range c.spans {
		if s.Name == name {
			return s
		}
	}
	return &spans.Span{}
}

func attributes(s *spans.Span) string {
	var b strings.Builder
	for _, a := range s.Attributes {
		b.WriteString(a.Key + "=" + strings.TrimSpace(a.Value.GetStringValue()))
		if a.Value.GetStringValue() == "" {
			b.WriteString(time.Duration(a.Value.GetIntValue()).String())
		}
		b.WriteString(" ")
	}
	return b.String()
}

func TestTraceGoesFromRequestToStoreAndHoldsNoKeyValueOrToken(t *testing.T) {
	c := &receiver{}
	server := httptest.NewServer(c)
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	tracing := must(OpenTracing(t.Context(), "v1", slog.New(slog.DiscardHandler)))

	b := memory.Open(memory.Options{})
	defer func() { _ = b.Close() }()
	store := NewStore(b.Store, b.Name, NewMetrics(""), tracing.Tracer())
	key := core.MakeKey(core.DefaultEnv, core.KindKey, "app.secret-key")
	handler := tracing.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Pattern = "/keys/{key}"
		zero := int64(0)
		_, err := store.Commit(r.Context(), core.Txn{
			Meta: core.Meta{ID: "1", Time: time.Now().UTC(), Author: "secret-alice"}, Checks: []core.Check{{Key: key, Version: &zero}},
			Ops: []core.Op{{Key: key, Do: core.OpPut, Doc: core.Doc{Value: []byte(`"secret-value"`)}}},
		})
		if err != nil {
			t.Error(err)
		}
		_, err = store.Commit(r.Context(), core.Txn{Meta: core.Meta{ID: "2"}, Checks: []core.Check{{Key: key, Version: &zero}}})
		if !errors.Is(err, core.ErrConflict) {
			t.Errorf("got %v, want ErrConflict", err)
		}
		w.WriteHeader(http.StatusCreated)
	}))
	r := httptest.NewRequest(http.MethodPut, "/keys/app.secret-key?secret-query=1", strings.NewReader(`{"value":"secret-value"}`))
	r.Header.Set("Authorization", "Bearer secret-token")
	r.Header.Set("User-Agent", "secret-agent")
	r.Header.Set("Baggage", "a=secret-baggage")
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	handler.ServeHTTP(httptest.NewRecorder(), r)
	must(store.Status(t.Context())) // outside of a request: no span
	if err := tracing.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	request, commit := c.named("PUT /keys/{key}"), c.named("store commit")
	if len(c.spans) != 3 || request.Kind != spans.Span_SPAN_KIND_SERVER || commit.Kind != spans.Span_SPAN_KIND_CLIENT {
		t.Fatalf("got %v, want a request and two commits", c.spans)
	}
	if !bytes.Equal(commit.ParentSpanId, request.SpanId) || !bytes.Equal(commit.TraceId, request.TraceId) {
		t.Error("the commit is not the request's child")
	}
	if request.TraceId[0] != 0x0a || request.ParentSpanId[0] != 0xb7 {
		t.Error("the request is not in the caller's trace")
	}
	if got := attributes(request); got != "http.request.method=PUT http.route=/keys/{key} http.response.status_code=201ns " {
		t.Errorf("request has %s", got)
	}
	if got := attributes(commit); got != "dynconfig.backend=memory dynconfig.operation=commit dynconfig.entries=1ns dynconfig.outcome=ok " {
		t.Errorf("commit has %s", got)
	}
	if bytes.Contains(c.raw.Bytes(), []byte("secret")) {
		t.Error("a secret was exported")
	}
	if !bytes.Contains(c.raw.Bytes(), []byte("dynconfig")) {
		t.Error("the service has no name")
	}
}

func TestWithoutAnEndpointNothingIsTraced(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	tracing := must(OpenTracing(t.Context(), "", slog.New(slog.DiscardHandler)))
	tracing.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, wrapped := w.(*recorder); wrapped {
			t.Error("the answer is recorded for nobody")
		}
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	if err := tracing.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestEndpointThatIsNoURLIsRefused(t *testing.T) {
	for _, bad := range []string{"collector:4318", "://", "ftp://collector"} {
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", bad)
		if _, err := OpenTracing(t.Context(), "", nil); !errors.Is(err, core.ErrInvalid) {
			t.Errorf("%q: got %v, want ErrInvalid", bad, err)
		}
	}
}

func TestTracedAnswersCanStillBeFlushedAndTakenOver(t *testing.T) {
	server := httptest.NewServer(&receiver{})
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	tracing := must(OpenTracing(t.Context(), "", slog.New(slog.DiscardHandler)))
	defer func() { _ = tracing.Close(context.WithoutCancel(t.Context())) }()
	front := httptest.NewServer(tracing.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = buffered.WriteString("0\r\n\r\n")
		_ = buffered.Flush()
		_ = conn.Close()
	})))
	defer front.Close()
	answer, err := front.Client().Get(front.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || len(text) != 0 {
		t.Errorf("got %q, %v", text, err)
	}
}
