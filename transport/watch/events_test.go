package watch

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// source is a client's end of a stream of events.
type source struct {
	t   *testing.T
	res *http.Response
	in  *bufio.Reader
}

// block is one event, or comment, as it stands in a stream.
type block struct {
	event, id, retry, comment string
	frame                     wire.Frame
}

func (f *fixture) source(query, token string, pairs ...string) *source {
	f.t.Helper()
	res := f.get(query, header(append([]string{"Authorization", "Bearer " + token, "Accept", "text/event-stream"}, pairs...)...))
	if res.StatusCode != 200 {
		f.t.Fatalf("refused with %d", res.StatusCode)
	}
	return &source{t: f.t, res: res, in: bufio.NewReader(res.Body)}
}

// read returns the next block; ok is false at the end of the stream.
func (s *source) read() (b block, ok bool) {
	var data []string
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return b, false
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "\n":
			if data != nil {
				if err := json.Unmarshal([]byte(strings.Join(data, "\n")), &b.frame); err != nil {
					s.t.Fatalf("%v in %q", err, data)
				}
			}
			return b, true
		case name == "":
			b.comment = "comment"
		case name == "event":
			b.event = value
		case name == "id":
			b.id = value
		case name == "retry":
			b.retry = value
		case name == "data":
			data = append(data, value)
		}
	}
}

// next returns the next event, which must be of a name; comments are passed over.
func (s *source) next(event string) block {
	s.t.Helper()
	for {
		b, ok := s.read()
		if ok && b.event == "" {
			continue
		}
		if b.event != event || b.frame.Event != event {
			s.t.Fatalf("got %+v, want event %s", b, event)
		}
		return b
	}
}

func (s *source) bye() { _ = s.res.Body.Close() }

func TestStreamBeginsAtOnceAndIsNotBuffered(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		s := f.source("?subscribe=app.*", "alice")
		defer s.bye()
		for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"} {
			if got := s.res.Header.Get(name); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
		if b, _ := s.read(); b.comment == "" || b.retry == "" {
			t.Errorf("began with %+v", b)
		}
		s.next("subscribed")
		f.put("app.x", "{\n \"a\":1 }")
		if b := s.next("update"); b.id == "" || b.id != b.frame.Revision || string(b.frame.Value) != "{\n \"a\":1 }" {
			t.Errorf("got %+v", b)
		}
	})
}

func TestStreamCommentsEvery15Seconds(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		s := f.source("?subscribe=app.*", "alice")
		defer s.bye()
		begin := time.Now()
		s.read()
		s.next("subscribed")
		for i := 1; i <= 2; i++ {
			b, _ := s.read()
			if d := time.Since(begin); b.comment == "" || d < time.Duration(i)*15*time.Second || d > time.Duration(i)*16*time.Second {
				t.Errorf("got %+v after %v", b, d)
			}
		}
	})
}

func TestLastEventIDWinsOverTheURL(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		s := f.source("?subscribe=app.*&snapshot=true", "alice")
		s.next("subscribed")
		if b := s.next("bookmark"); b.id == "" || !b.frame.Synced {
			t.Errorf("got %+v", b)
		}
		f.put("app.a", `1`)
		first := s.next("update")
		s.bye()
		f.put("app.b", `2`)
		again := f.source("?subscribe=app.*&snapshot=true", "alice", "Last-Event-ID", first.id)
		defer again.bye()
		again.next("subscribed")
		if b := again.next("update"); b.frame.Key != "app.b" || b.frame.Snapshot || b.id == "" {
			t.Errorf("got %+v", b)
		}
		if b := again.next("bookmark"); !b.frame.Synced {
			t.Errorf("got %+v", b)
		}
	})
}

func TestFramesThatAreNoPlaceToComeBackToHaveNoID(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		f.put("app.a", `1`)
		f.put("app.b", `1`)
		for _, query := range []string{"?subscribe=app.*&snapshot=true", "?subscribe=app.*&since_version=0", "?subscribe=app.*&since_revision=anotherepoch:5"} {
			s := f.source(query, "alice")
			s.next("subscribed")
			if strings.Contains(query, "revision") {
				if b := s.next("reset"); b.id != "" {
					t.Errorf("%s: got %+v", query, b)
				}
			}
			for range 2 {
				if b := s.next("update"); b.id != "" {
					t.Errorf("%s: got %+v", query, b)
				}
			}
			if b := s.next("bookmark"); b.id == "" {
				t.Errorf("%s: got %+v", query, b)
			}
			s.bye()
		}
		s := f.source("?subscribe=app.*", "alice")
		defer s.bye()
		s.next("subscribed")
		f.write(core.Write{Op: core.WritePut, Kind: core.KindKey, Name: "app.a", Value: []byte(`2`)},
			core.Write{Op: core.WritePut, Kind: core.KindKey, Name: "app.b", Value: []byte(`2`)})
		if b := s.next("update"); !b.frame.More || !strings.HasSuffix(b.id, ".1") {
			t.Errorf("got %+v, want a place in the middle of the commit", b)
		}
		s.next("update")
	})
}

func TestStreamEndsWithAnErrorWhenTheTokenExpires(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		s := f.source("?subscribe=app.*", "alice/50")
		s.next("subscribed")
		s.next("token_expiring")
		if b := s.next("error"); b.frame.Code != "token_expired" || b.frame.Message == "" || b.id != "" {
			t.Errorf("got %+v", b)
		}
		if d := time.Since(f.issued); d < 50*time.Second || d > 51*time.Second {
			t.Errorf("ended after %v", d)
		}
		if b, ok := s.read(); ok {
			t.Errorf("got %+v after the end", b)
		}
	})
}

func TestStreamEndsWhenTheServerGoesAway(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		s := f.source("?subscribe=app.*", "alice")
		s.next("subscribed")
		if err := f.handler.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if b, ok := s.read(); ok {
			t.Errorf("got %+v after the end", b)
		}
	})
}

func TestStreamWhosePeerIsGoneLeavesNothing(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		s := f.source("?subscribe=app.*", "alice")
		s.next("subscribed")
		s.bye()
		blocked := f.source("?subscribe=app.*", "alice")
		for range 100 {
			f.put("app.x", `"`+strings.Repeat("x", 1000)+`"`)
		}
		time.Sleep(2 * time.Minute) // reads nothing
		if n, w := f.handler.Connections(), f.engine.Stats().Watchers; n != 0 || w != 0 {
			t.Errorf("%d connections and %d watchers are left", n, w)
		}
		blocked.bye()
	})
}
