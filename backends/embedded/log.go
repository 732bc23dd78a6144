package embedded

import (
	"context"
	"log/slog"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapLogger passes etcd's warnings and errors on to a slog.Logger.
func zapLogger(to *slog.Logger) *zap.Logger {
	return zap.New(&bridge{to: to.With("component", "etcd")})
}

// bridge is a zapcore.Core over a slog.Logger.
type bridge struct{ to *slog.Logger }

// routine are messages that say nothing to somebody who did not choose etcd's settings. Those of the schema version come
// at every first start, before anything has been committed; etcd tries again.
var routine = map[string]bool{
	"Running http and grpc server on single port. This is not recommended for production.": true,
	"simple token is not cryptographically signed":                                         true,
	"exceeded recommended request limit":                                                   true,
	"Failed to detect schema version":                                                      true,
	"failed to update storage version":                                                     true,
}

// earlyElection is in the message of a member that would vote for itself before it has read its log to the end.
const earlyElection = "cannot campaign at term"

func (b *bridge) Enabled(l zapcore.Level) bool { return l >= zapcore.WarnLevel }

func (b *bridge) With(fields []zapcore.Field) zapcore.Core {
	return &bridge{to: b.to.With(attrs(fields)...)}
}

func (b *bridge) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if b.Enabled(e.Level) && !routine[e.Message] && !strings.Contains(e.Message, earlyElection) {
		return ce.AddCore(e, b)
	}
	return ce
}

func (b *bridge) Write(e zapcore.Entry, fields []zapcore.Field) error {
	level := slog.LevelWarn
	if e.Level > zapcore.WarnLevel {
		level = slog.LevelError
	}
	b.to.Log(context.Background(), level, e.Message, attrs(fields)...)
	return nil
}

func (b *bridge) Sync() error { return nil }

// attrs turns zap's fields into slog's. Requests and responses, which hold keys and values, stay out.
func attrs(fields []zapcore.Field) []any {
	m := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(m)
	}
	var out []any
	for _, f := range fields {
		switch f.Key {
		case "request", "response", "prefix", "key", "value", "range_begin", "range_end":
		default:
			out = append(out, slog.Any(f.Key, m.Fields[f.Key]))
		}
	}
	return out
}
