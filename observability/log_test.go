package observability

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/dynconfig/dynconfig/core"
)

func TestLogIsJSONWhenItGoesToNoTerminal(t *testing.T) {
	var out bytes.Buffer
	must(NewLogger(&out, LogOptions{})).With("part", "a").Info("hello", "n", 7)
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line["msg"] != "hello" || line["n"] != 7.0 || line["part"] != "a" {
		t.Fatalf("got %q, %v", out.String(), err)
	}
}

func TestLogLevelAndFormatAreKeptAndOthersRefused(t *testing.T) {
	var out bytes.Buffer
	logger := must(NewLogger(&out, LogOptions{Level: "warn", Format: "text"}))
	logger.Info("quiet")
	logger.Warn("loud")
	if got := out.String(); strings.Contains(got, "quiet") || !strings.Contains(got, "level=WARN msg=loud") {
		t.Errorf("got %q", got)
	}
	for _, bad := range []LogOptions{{Level: "verbose"}, {Format: "xml"}} {
		if _, err := NewLogger(&out, bad); !errors.Is(err, core.ErrInvalid) {
			t.Errorf("%+v: got %v, want ErrInvalid", bad, err)
		}
	}
}

func TestSecretsAreNotLoggedByTheirNames(t *testing.T) {
	var out bytes.Buffer
	logger := must(NewLogger(&out, LogOptions{}))
	logger.WithGroup("request").With("Authorization", "Bearer hunter2").Info("x", "token", "hunter2", "value", []byte("hunter2"), "password", "hunter2")
	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("got %s", out.String())
	}
}

func TestLogOfATracedRequestNamesItsTrace(t *testing.T) {
	var out bytes.Buffer
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}))
	must(NewLogger(&out, LogOptions{})).InfoContext(ctx, "x")
	if got := out.String(); !strings.Contains(got, `"trace_id":"01000000000000000000000000000000","span_id":"0200000000000000"`) {
		t.Errorf("got %s", got)
	}
}
