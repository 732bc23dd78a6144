package watch

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// timeFormat is RFC 3339 with all the precision that times here have.
const timeFormat = "2006-01-02T15:04:05.000000Z07:00"

// encode writes an event as the JSON of its wire.Frame. It is by hand because every event to every watcher passes here
// unless it is shared, and reflection would be the larger part of delivering it.
func encode(e *core.Event) []byte {
	size := 192 + len(e.Key) + len(e.Value) + len(e.Text) + len(e.ID)
	for _, p := range e.Patterns {
		size += len(p) + 3
	}
	b := append(make([]byte, 0, size), `{"event":`...)
	b = appendString(b, string(e.Kind))
	if e.ID != "" {
		b = append(append(b, `,"id":`...), e.ID...)
	}
	if len(e.Patterns) > 0 || e.Kind == core.EventUnsubscribed { // also that of nothing is answered
		b = append(b, `,"patterns":[`...)
		for i, p := range e.Patterns {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, p)
		}
		b = append(b, ']')
	}
	if e.Key != "" {
		b = appendString(append(b, `,"key":`...), e.Key)
	}
	if e.Version != 0 {
		b = strconv.AppendInt(append(b, `,"version":`...), e.Version, 10)
	}
	if e.Value != nil {
		b = append(append(b, `,"value":`...), e.Value...)
	}
	if e.Position.Epoch != "" {
		b = append(appendPosition(append(b, `,"revision":"`...), e.Position), '"')
	}
	if e.Kind != core.EventGranted { // what changed then is the right, not the value
		b = appendTime(b, `,"lastModified":"`, e.Modified)
	}
	b = appendFlag(b, `,"more":true`, e.More)
	b = appendFlag(b, `,"snapshot":true`, e.Snapshot)
	b = appendFlag(b, `,"conflated":true`, e.Conflated)
	b = appendFlag(b, `,"synced":true`, e.Synced)
	b = appendTime(b, `,"expiresAt":"`, e.Expires)
	if e.Code != "" {
		b = appendString(append(b, `,"code":`...), e.Code)
	}
	if e.Text != "" {
		b = appendString(append(b, `,"message":`...), e.Text)
	}
	return append(b, '}')
}

func appendPosition(b []byte, p core.Position) []byte {
	b = append(append(b, p.Epoch...), ':') // an epoch is [a-z0-9]
	b = strconv.AppendInt(b, int64(p.Revision), 10)
	if p.Sub > 0 {
		b = strconv.AppendInt(append(b, '.'), int64(p.Sub), 10)
	}
	return b
}

func appendTime(b []byte, member string, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	return append(t.UTC().AppendFormat(append(b, member...), timeFormat), '"')
}

func appendFlag(b []byte, member string, on bool) []byte {
	if !on {
		return b
	}
	return append(b, member...)
}

// appendString quotes s. Names are plain ASCII by their syntax; texts may be anything.
func appendString(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // a string always has a JSON form
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
