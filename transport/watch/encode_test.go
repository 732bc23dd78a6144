package watch

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
	"github.com/google/go-cmp/cmp"
)

func TestFramesReadBackAsTheEventsTheyWere(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 123456000, time.FixedZone("", 3600))
	position := core.Position{Epoch: "abcdefgh", Revision: 418}
	inside := core.Position{Epoch: "abcdefgh", Revision: 418, Sub: 2}
	for _, e := range []core.Event{
		{Kind: core.EventSubscribed, Patterns: []string{"app.*", "a/b:c@d"}, ID: `{"a" : [1]}`},
		{Kind: core.EventUnsubscribed, Patterns: []string{"*"}, Position: position},
		{Kind: core.EventUpdate, Key: "app.x", Version: 3, Value: []byte(`"true"`), Position: position, Modified: at},
		{Kind: core.EventUpdate, Key: "app.x", Version: 3, Value: []byte("{\n \"b\":1e400,\t\"a\":\"\\u0000é\"}"), Position: inside, Modified: at, More: true},
		{Kind: core.EventUpdate, Key: "app.x", Version: 1, Value: []byte(`null`), Position: position, Snapshot: true, Conflated: true},
		{Kind: core.EventDelete, Key: "app.x", Version: 4, Position: position},
		{Kind: core.EventExpired, Key: "app.x", Version: 4, Position: position},
		{Kind: core.EventBookmark, Position: position, Synced: true},
		{Kind: core.EventReset, Position: position},
		{Kind: core.EventRevoked, Key: "app.x", Position: position},
		{Kind: core.EventGranted, Key: "app.x", Value: []byte(`0`), Version: 9, Position: position},
		{Kind: core.EventExpiring, Expires: at, Position: position},
		{Kind: core.EventError, Code: "bad_pattern", Text: "a \"quoted\" \\ line\nbreak, é and \u2028", ID: `null`},
	} {
		var got wire.Frame
		dec := json.NewDecoder(bytes.NewReader(encode(&e)))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&got); err != nil {
			t.Fatalf("%s: %v in %s", e.Kind, err, encode(&e))
		}
		want := wire.Frame{
			Event: string(e.Kind), ID: []byte(e.ID), Patterns: e.Patterns, Key: e.Key, Version: e.Version, Value: e.Value,
			More: e.More, Snapshot: e.Snapshot, Conflated: e.Conflated, Synced: e.Synced, Code: e.Code, Message: e.Text,
		}
		if e.Position.Epoch != "" {
			want.Revision = e.Position.String()
		}
		if !e.Modified.IsZero() {
			want.LastModified = &e.Modified
		}
		if !e.Expires.IsZero() {
			want.ExpiresAt = &e.Expires
		}
		if len(want.ID) == 0 {
			want.ID = nil
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: -want +got\n%s\nin %s", e.Kind, d, encode(&e))
		}
	}
}

func TestAGrantedFrameHasKeyValueVersionAndRevisionAndNoMore(t *testing.T) {
	got := string(encode(&core.Event{
		Kind: core.EventGranted, Key: "app.x", Version: 9, Value: []byte(`0`), Position: core.Position{Epoch: "abcdefgh", Revision: 418}, Modified: time.Now(),
	}))
	if want := `{"event":"granted","key":"app.x","version":9,"value":0,"revision":"abcdefgh:418"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTimesOfFramesAreUTCWithAllTheirPrecision(t *testing.T) {
	for at, want := range map[time.Time]string{
		time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC):                        `"2026-03-04T05:06:07.000000Z"`,
		time.Date(2026, 3, 4, 5, 6, 7, 120000, time.FixedZone("", 2*3600)): `"2026-03-04T03:06:07.000120Z"`,
	} {
		got := encode(&core.Event{Kind: core.EventUpdate, Modified: at})
		if !bytes.Contains(got, []byte(`"lastModified":`+want)) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestEventsHoldValuesOfSeveralLines(t *testing.T) {
	got := string(appendEvent(nil, "update", []byte("{\"value\":[1,\n2,\r\n3,\r4]}")))
	want := "event: update\ndata: {\"value\":[1,\ndata: 2,\ndata: 3,\ndata: 4]}\n\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func BenchmarkEncode(b *testing.B) {
	e := core.Event{
		Kind: core.EventUpdate, Key: "app.feature-toggle.enabled", Version: 3, Value: []byte(`"true"`),
		Position: core.Position{Epoch: "abcdefgh", Revision: 418}, Modified: time.Now(),
	}
	b.ReportAllocs()
	for b.Loop() {
		encode(&e)
	}
}
