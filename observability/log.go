// Package observability shows what a server does: logs, metrics, traces, and the audit log. It decorates what package core
// declares; nothing in it decides anything. No label, attribute or log line of its holds a key, a value, a principal, a
// pattern or a token.
package observability

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strings"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/term"

	"github.com/dynconfig/dynconfig/core"
)

// LogOptions say how much is logged, and how. The zero value is info, and JSON unless out is a terminal.
type LogOptions struct {
	Level  string // debug, info, warn or error; "": info
	Format string // json, text or auto; "": auto
}

// NewLogger returns a logger that writes to out. Records of a traced request carry its trace_id and span_id, and what an
// attribute's name gives away as a secret is not written.
func NewLogger(out io.Writer, o LogOptions) (*slog.Logger, error) {
	var level slog.Level
	if o.Level != "" && level.UnmarshalText([]byte(o.Level)) != nil {
		return nil, core.Errorf(core.ErrInvalid, "Log level %q is none of debug, info, warn, error", o.Level)
	}
	handler := &slog.HandlerOptions{Level: level, ReplaceAttr: redact}
	switch format := strings.ToLower(o.Format); {
	case format == "json", (format == "" || format == "auto") && !terminal(out):
		return slog.New(traced{slog.NewJSONHandler(out, handler)}), nil
	case format == "text", format == "", format == "auto":
		return slog.New(traced{slog.NewTextHandler(out, handler)}), nil
	}
	return nil, core.Errorf(core.ErrInvalid, "Log format %q is none of json, text, auto", o.Format)
}

func terminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// redact is the last line of defence: nothing in the server logs a secret by these names.
func redact(_ []string, a slog.Attr) slog.Attr {
	switch strings.ToLower(a.Key) {
	case "token", "jwt", "authorization", "password", "secret", "cookie", "value":
		return slog.String(a.Key, "redacted")
	}
	return a
}

// traced adds the ids of the span in whose context a record is made.
type traced struct{ slog.Handler }

func (t traced) Handle(ctx context.Context, r slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return t.Handler.Handle(ctx, r)
}

func (t traced) WithAttrs(attrs []slog.Attr) slog.Handler { return traced{t.Handler.WithAttrs(attrs)} }

func (t traced) WithGroup(name string) slog.Handler { return traced{t.Handler.WithGroup(name)} }
