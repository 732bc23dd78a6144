package watch

import (
	"net/http"
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
