package observability

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"os"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/dynconfig/dynconfig/core"
)

// scope names the instrumentation in what is exported.
const scope = "github.com/dynconfig/dynconfig"

// Tracing makes spans and exports them over OTLP/HTTP, if OTEL_EXPORTER_OTLP_ENDPOINT is set; else it makes none. The
// other variables of OpenTelemetry (headers, sampler, resource attributes) count too.
type Tracing struct {
	provider *sdktrace.TracerProvider // nil: off
	tracer   trace.Tracer
}

// OpenTracing starts to export, if the environment asks for it. A collector that is away is logged and stops nothing.
func OpenTracing(ctx context.Context, version string, logger *slog.Logger) (*Tracing, error) {
	off := &Tracing{tracer: noop.NewTracerProvider().Tracer(scope)}
	set := false
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		endpoint := os.Getenv(name)
		if endpoint == "" {
			continue
		}
		set = true
		if u, err := url.Parse(endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, core.Errorf(core.ErrInvalid, "%s is not an http or https URL", name)
		}
	}
	if !set {
		return off, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, err
	}
	about, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", "dynconfig"), attribute.String("service.version", version),
	), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, core.Errorf(core.ErrInvalid, "OTEL_RESOURCE_ATTRIBUTES cannot be read").Because(err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { logger.Warn("traces are not exported", "cause", err) }))
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	return &Tracing{provider: provider, tracer: provider.Tracer(scope)}, nil
}

// Tracer is for decorators.
func (t *Tracing) Tracer() trace.Tracer { return t.tracer }

// Close exports what is left and ends.
func (t *Tracing) Close(ctx context.Context) error {
	if t.provider == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Handler makes a span of each request, in the trace that its traceparent names. otelhttp would do so too, but writes the
// path, which holds keys, and the query into the span; here it holds the method, the status, and the template that next
// leaves in Request.Pattern.
func (t *Tracing) Handler(next http.Handler) http.Handler {
	if t.provider == nil {
		return next
	}
	var propagator propagation.TraceContext // not baggage: it is the client's own words
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := knownMethod(r.Method)
		ctx := propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := t.tracer.Start(ctx, method, trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(attribute.String("http.request.method", method)))
		answer := &recorder{ResponseWriter: w}
		r = r.WithContext(ctx)
		defer func() {
			if r.Pattern != "" {
				span.SetName(method + " " + r.Pattern)
				span.SetAttributes(attribute.String("http.route", r.Pattern))
			}
			if answer.status != 0 {
				span.SetAttributes(attribute.Int("http.response.status_code", answer.status))
			}
			if answer.status >= http.StatusInternalServerError {
				span.SetStatus(codes.Error, http.StatusText(answer.status))
			}
			span.End()
		}()
		next.ServeHTTP(answer, r)
	})
}

// knownMethod keeps what clients invent out of spans.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "_OTHER"
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && (status >= http.StatusOK || status == http.StatusSwitchingProtocols) {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(p)
}

// Flush serves those who ask for an http.Flusher.
func (r *recorder) Flush() { _ = http.NewResponseController(r.ResponseWriter).Flush() }

// Unwrap lets http.ResponseController, and with it WebSocket upgrades, reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
