package watch

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

func TestRequestThatIsNoWatchIsRefused(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		alice := func(pairs ...string) http.Header {
			return header(append([]string{"Authorization", "Bearer alice"}, pairs...)...)
		}
		events := alice("Accept", "text/event-stream")
		for _, c := range []struct {
			query  string
			h      http.Header
			status int
		}{
			{"", alice(), 400},
			{"?subscribe=a", alice("Accept", "application/json"), 400},
			{"", events, 400},
			{"?unknown=1&subscribe=a", events, 400},
			{"?Subscribe=a", events, 400},
			{"?subscribe=a&snapshot=1", events, 400},
			{"?subscribe=a&snapshot=true&snapshot=true", events, 400},
			{"?subscribe=a&snapshot=true&since_version=3", events, 400},
			{"?subscribe=a&since_version=-1", events, 400},
			{"?subscribe=a&since_version=x", events, 400},
			{"?subscribe=a&since_revision=", events, 400},
			{"?subscribe=a&since_revision=417", events, 400},
			{"?subscribe=a..b/*x", events, 400},
			{"?subscribe=", events, 400},
			{"?snapshot=true", events, 400},
			{"?subscribe=%zz", events, 400},
			{"?subscribe=a&env=No!", events, 422},
			{"?subscribe=a&env=", events, 422},
			{"?subscribe=a&env=absent", events, 404},
			{"?subscribe=a", alice("Accept", "text/event-stream", "Last-Event-ID", "x"), 400},
			{"?subscribe=a", alice("Accept", "text/event-stream", "Origin", "http://evil.test"), 403},
			{"", alice("Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "12"), 400},
			{"", alice("Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13"), 400},
		} {
			if res := f.get(c.query, c.h); res.StatusCode != c.status {
				t.Errorf("%q %v: got %d, want %d", c.query, c.h, res.StatusCode, c.status)
			} else {
				f.problem(res, c.status)
			}
		}
		for _, query := range []string{"?unknown=1", "?env=absent", "?subscribe=a..b/*x", "?subscribe=a&snapshot=true&since_version=3"} {
			if p, _ := f.dial(query, bearer("alice")); p != nil {
				t.Errorf("%q was let in", query)
			}
		}
		res, err := f.client.Post("http://dynconfig.test/watch", "application/json", nil)
		if err != nil {
			t.Fatal(err)
		}
		f.problem(res, 405)
		if res.Header.Get("Allow") != "GET" {
			t.Errorf("Allow is %q", res.Header.Get("Allow"))
		}
	})
}

func TestEnvironmentComesFromTheQueryOrAHeader(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		for _, h := range []string{"X-DynConfig-Environment", "X-Ironflow-Environment"} {
			_, res := f.dial("", header("Authorization", "Bearer alice", h, "absent"))
			if p := f.problem(res, 404); p.Detail != "Environment does not exist" {
				t.Errorf("got %+v", p)
			}
			if p, _ := f.dial("?env=default", header("Authorization", "Bearer alice", h, "absent")); p == nil {
				t.Errorf("%s wins over the query", h)
			} else {
				p.bye()
			}
		}
		p, _ := f.dial("?env=absent&subscribe=a", nil)
		p.send(`{"token":"alice"}`)
		if e := p.next("error"); e.Code != core.CodeEnvironment {
			t.Errorf("got %+v", e)
		}
		p.closes(4403)
	})
}

func TestOriginOfAnotherSiteIsRefusedAtTheUpgrade(t *testing.T) {
	run(t, Options{AllowOrigins: []string{"https://console.test"}}, func(f *fixture) {
		for origin, want := range map[string]bool{
			"http://dynconfig.test": true, "http://dynconfig.test:80": true, "https://console.test": true,
			"https://dynconfig.test": false, "http://dynconfig.test:8080": false, "http://evil.test": false, "null": false,
		} {
			p, res := f.dial("", header("Authorization", "Bearer alice", "Origin", origin))
			if got := p != nil; got != want {
				t.Errorf("%s: let in %v, want %v", origin, got, want)
			}
			if p != nil {
				p.bye()
			} else {
				f.problem(res, 403)
			}
		}
	})
}

func TestMessageSentTogetherWithTheUpgradeIsHeard(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		conn, err := f.pipes.dial(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		text := `{"unsubscribe":["a"],"id":5}`
		request := "GET /watch HTTP/1.1\r\nHost: dynconfig.test\r\nAuthorization: Bearer alice\r\nConnection: keep-alive, Upgrade\r\n" +
			"Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" +
			string([]byte{0x81, byte(0x80 | len(text)), 0, 0, 0, 0}) + text // the mask is four zeros
		if _, err := conn.Write([]byte(request)); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(conn)
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("got %+v, %v", res, err)
		}
		head := make([]byte, 2)
		if _, err := io.ReadFull(in, head); err != nil || head[0] != 0x81 || head[1] > 125 {
			t.Fatalf("got % x, %v", head, err)
		}
		frame := make([]byte, head[1])
		if _, err := io.ReadFull(in, frame); err != nil || !strings.Contains(string(frame), `"event":"unsubscribed","id":5`) {
			t.Errorf("got %s, %v", frame, err)
		}
	})
}
