package watch

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

func TestTokenMayComeInTheSubprotocolAndIsNotEchoed(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		p, res := f.dial("?subscribe=a", header("Sec-WebSocket-Protocol", "dynconfig.v1, bearer.alice"))
		if p == nil {
			t.Fatalf("refused with %d", res.StatusCode)
		}
		defer p.bye()
		if got := res.Header.Values("Sec-WebSocket-Protocol"); len(got) != 1 || got[0] != "dynconfig.v1" {
			t.Errorf("answered %q", got)
		}
		p.next("subscribed")
	})
}

func TestTokenMayComeInTheFirstMessage(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		p, _ := f.dial("?subscribe=a", nil)
		p.send(`{"token":"alice","subscribe":["b"],"id":1}`)
		if s := p.next("subscribed"); s.Patterns[0] != "a" {
			t.Errorf("got %+v, want the subscription of the URL first", s)
		}
		if s := p.next("subscribed"); s.Patterns[0] != "b" || string(s.ID) != "1" {
			t.Errorf("got %+v", s)
		}
		p.bye()
		q, _ := f.dial("", nil)
		q.send(`{"token":"alice"}`)
		q.send(`{"subscribe":["b"]}`)
		q.next("subscribed")
		q.bye()
	})
}

func TestFirstMessageWithoutATokenCloses4401(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		for _, text := range []string{`{"subscribe":["a"]}`, `{"token":"bad"}`, `{"token":"bad","subscribe":["a"]}`, `{"unsubscribe":["a"]}`} {
			p, _ := f.dial("", nil)
			p.send(text)
			p.closes(wire.CloseToken)
		}
	})
}

func TestFirstMessageWithoutATokenIsAwaitedTenSeconds(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		begin := time.Now()
		p, _ := f.dial("", nil)
		p.closes(wire.CloseToken)
		if d := time.Since(begin); d < 10*time.Second || d > 11*time.Second {
			t.Errorf("closed after %v", d)
		}
		q, _ := f.dial("?subscribe=a", nil)
		time.Sleep(9500 * time.Millisecond)
		q.send(`{"token":"alice"}`)
		q.next("subscribed")
		time.Sleep(5 * time.Second)
		q.send(`{"subscribe":["b"]}`)
		q.next("subscribed")
		q.bye()
	})
}

func TestTokenThatIsNotValidIsRefusedBeforeTheUpgrade(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		for status, headers := range map[int][]string{
			401: {
				"Authorization", "Bearer bad",
				"Sec-WebSocket-Protocol", "dynconfig.v1, bearer.bad",
				"Sec-WebSocket-Protocol", "dynconfig.v1, bearer.",
			},
			400: {
				"Sec-WebSocket-Protocol", "bearer.alice",
				"Sec-WebSocket-Protocol", "dynconfig.v1, bearer.alice, bearer.bob",
			},
			503: {
				"Authorization", "Bearer away",
				"Sec-WebSocket-Protocol", "dynconfig.v1, bearer.away",
			},
		} {
			for i := 0; i < len(headers); i += 2 {
				_, res := f.dial("", header(headers[i], headers[i+1]))
				f.problem(res, status)
				if status == 401 && !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), `Bearer realm="dynconfig"`) {
					t.Errorf("%s: WWW-Authenticate is %q", headers[i+1], res.Header.Get("WWW-Authenticate"))
				}
			}
		}
		_, res := f.dial("", header("Authorization", "Bearer alice", "Sec-WebSocket-Protocol", "dynconfig.v1, bearer.bob"))
		f.problem(res, 400)
		f.problem(f.get("?subscribe=a", header("Accept", "text/event-stream")), 401)
		f.problem(f.get("?subscribe=a", header("Accept", "text/event-stream", "Upgrade", "websocket")), 401)
	})
}

func TestTokenInTheQueryOrACookieIsRefused(t *testing.T) {
	stray := func(r *http.Request) error {
		if _, err := r.Cookie("token"); err == nil {
			return core.Errorf(core.ErrMalformed, "A token in a cookie is refused")
		}
		return core.Errorf(core.ErrUnauthenticated, "Invalid JWT")
	}
	run(t, Options{Stray: stray}, func(f *fixture) {
		_, res := f.dial("", header("Cookie", "token=alice"))
		f.problem(res, 400)
		for _, query := range []string{"?token=alice", "?access_token=alice", "?jwt=alice", "?authorization=alice"} {
			_, res := f.dial(query, nil)
			f.problem(res, 400)
		}
	})
}

func TestNothingIsDeliveredAfterTheTokenExpires(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		p := f.open("?subscribe=a", "alice/100")
		p.next("subscribed")
		w := p.until("token_expiring")
		if d := time.Since(f.issued); d < 70*time.Second || d > 71*time.Second {
			t.Errorf("told after %v", d)
		}
		if w.ExpiresAt == nil || !w.ExpiresAt.Equal(f.issued.Add(100*time.Second)) || w.Revision == "" {
			t.Errorf("got %+v", w)
		}
		f.put("a", `1`)
		p.until("update")
		time.Sleep(time.Until(f.issued.Add(100 * time.Second))) // the very instant
		f.put("a", `2`)
		p.closes(wire.CloseToken)
		if d := time.Since(f.issued); d > 101*time.Second {
			t.Errorf("closed after %v", d)
		}
	})
}

func TestTokenThatHasExpiredWithinTheLeewayDeliversNothing(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		f.put("a", `1`)
		f.open("?subscribe=a&snapshot=true", "alice/-10").closes(wire.CloseToken)
	})
}

func TestReaderThatBlocksIsToldNothingAfterTheTokenExpires(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		p := f.open("?subscribe=a", "alice/5")
		p.next("subscribed")
		f.put("a", `1`)
		time.Sleep(10 * time.Second)
		if fr, err := p.read(); err == nil && fr.Event == "update" {
			t.Errorf("got %+v", fr)
		}
		_ = p.ws.CloseNow()
	})
}

func TestFreshTokenOfTheSameUsernameGoesOn(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		p := f.open("?subscribe=a", "alice/100")
		p.until("token_expiring")
		p.send(`{"token":"alice/200"}`)
		if w := p.until("token_expiring"); !w.ExpiresAt.Equal(f.issued.Add(200 * time.Second)) {
			t.Errorf("got %+v", w)
		}
		if d := time.Since(f.issued); d < 170*time.Second || d > 171*time.Second {
			t.Errorf("told after %v", d)
		}
		f.put("a", `1`)
		p.until("update")
		p.closes(wire.CloseToken)
		if d := time.Since(f.issued); d < 200*time.Second || d > 201*time.Second {
			t.Errorf("closed after %v", d)
		}
	})
}

func TestFreshTokenOfAnotherUsernameCloses4401(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		for _, token := range []string{"bob", "bad", "Alice"} {
			p := f.open("?subscribe=a", "alice")
			p.next("subscribed")
			p.send(`{"token":"` + token + `"}`)
			p.closes(wire.CloseToken)
		}
	})
}

// lateConn takes a while to cut off what is being written.
type lateConn struct{ net.Conn }

func (c lateConn) SetWriteDeadline(at time.Time) error {
	if !at.IsZero() && !at.After(time.Now()) {
		time.Sleep(time.Second)
	}
	return c.Conn.SetWriteDeadline(at)
}

func TestTheEndIsNotCutOffWithTheWritesBeforeIt(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		f.client.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			f.pipes <- lateConn{there}
			return here, nil
		}
		p := f.open("?subscribe=a", "alice")
		p.next("subscribed")
		p.send(`{"token":"bad"}`)
		synctest.Wait() // the reader has asked for the end, and is cutting off
		f.put("a", `1`) // the pump comes at the same time
		time.Sleep(2 * time.Second)
		p.closes(wire.CloseToken)
	})
}

func TestTokenThatCannotBeVerifiedJustNowChangesNothing(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		p := f.open("?subscribe=a", "alice")
		defer p.bye()
		p.next("subscribed")
		p.send(`{"token":"away","id":1}`)
		if e := p.next("error"); e.Code != "unavailable" || string(e.ID) != "1" {
			t.Errorf("got %+v", e)
		}
		f.put("a", `1`)
		p.next("update")
	})
}

func TestRightThatIsLostSilencesTheWatcher(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		p := f.open("?subscribe=a&subscribe=b", "alice")
		defer p.bye()
		p.next("subscribed")
		f.rights.deny("alice read a")
		time.Sleep(time.Second)
		p.until("reset")
		p.until("bookmark")
		f.put("a", `1`)
		f.put("b", `1`)
		if u := p.until("update"); u.Key != "b" {
			t.Errorf("got %+v", u)
		}
		synctest.Wait()
	})
}
