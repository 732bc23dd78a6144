package watch

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

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

func TestHandshakeThatCannotBeIsAnsweredByWhatCan(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		for _, c := range []struct {
			proto, version, key string
			status              int
			name, value         string
		}{
			{"1.0", "13", "dGhlIHNhbXBsZSBub25jZQ==", 426, "Upgrade", "websocket"},
			{"1.1", "12", "dGhlIHNhbXBsZSBub25jZQ==", 400, "Sec-WebSocket-Version", "13"},
			{"1.1", "", "dGhlIHNhbXBsZSBub25jZQ==", 400, "Sec-WebSocket-Version", "13"},
			{"1.1", "13", "dGhlIHNhbXBsZSBub25jZ!==", 400, "Upgrade", ""},
		} {
			for _, token := range []string{"Authorization: Bearer alice\r\n", ""} {
				conn, err := f.pipes.dial(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				request := "GET /watch HTTP/" + c.proto + "\r\nHost: dynconfig.test\r\n" + token + "Connection: Upgrade\r\nUpgrade: websocket\r\n" +
					"Sec-WebSocket-Version: " + c.version + "\r\nSec-WebSocket-Key: " + c.key + "\r\n\r\n"
				if _, err := conn.Write([]byte(request)); err != nil {
					t.Fatal(err)
				}
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				f.problem(res, c.status)
				if got := res.Header.Get(c.name); got != c.value {
					t.Errorf("%+v: %s is %q", c, c.name, got)
				}
				_ = conn.Close()
			}
		}
	})
}

func TestWatchBeginsNoEarlierThanTheRevisionThatTheClientKnows(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		f.put("a", `1`)
		p := f.open("?subscribe=a&snapshot=true", "alice")
		defer p.bye()
		epoch, _, _ := strings.Cut(p.until("bookmark").Revision, ":")
		known := func(revision string, pairs ...string) http.Header {
			return header(append([]string{"Authorization", "Bearer alice", "X-DynConfig-Min-Revision", revision}, pairs...)...)
		}
		q, _ := f.dial("?subscribe=a", known(epoch+":1"))
		q.next("subscribed")
		q.bye()
		for _, pairs := range [][]string{nil, {"Accept", "text/event-stream"}} {
			for revision, status := range map[string]int{"x": 400, "1": 400, "another:1": 410, epoch + ":7": 503} {
				begin := time.Now()
				if pairs != nil {
					f.problem(f.get("?subscribe=a", known(revision, pairs...)), status)
				} else {
					_, res := f.dial("?subscribe=a", known(revision))
					f.problem(res, status)
				}
				if d := time.Since(begin); status == 503 && d != 5*time.Second {
					t.Errorf("503 after %v", d)
				}
			}
		}
		_, res := f.dial("", known(epoch+":1", "X-DynConfig-Min-Revision", epoch+":1"))
		f.problem(res, 400)
		_, res = f.dial("", header("X-DynConfig-Min-Revision", epoch+":1"))
		f.problem(res, 400)

		begin := time.Now()
		go func() {
			time.Sleep(3 * time.Second)
			f.put("a", `2`)
		}()
		late, _ := f.dial("?subscribe=a&snapshot=true", known(epoch+":2"))
		defer late.bye()
		if d := time.Since(begin); d != 3*time.Second {
			t.Errorf("let in after %v", d)
		}
		late.next("subscribed")
		if u := late.next("update"); string(u.Value) != `2` {
			t.Errorf("got %+v", u)
		}
		if n := f.handler.Connections(); n != 2 {
			t.Errorf("%d connections: those that were refused keep their places", n)
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
