package watch

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/dynconfig/dynconfig/wire"
)

func TestBadMessageCloses4400(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		for _, text := range []string{
			`{`, `{}`, `{"Subscribe":["a"]}`, `{"subscribe":["a"],"subscribe":["b"]}`, `{"subscribe":["a"],"token":"alice"}x`, "{\"token\":\"\xff\"}",
			`{"subscribe":["a"],"x":"` + strings.Repeat("x", 300) + `"}`,
		} {
			p := f.open("", "alice")
			p.send(text)
			if reason := p.closes(wire.CloseBadMessage); reason == "" {
				t.Errorf("%.60s: no reason", text)
			}
		}
		p := f.open("", "alice")
		p.send(`{"subscribe":["a"]}`)
		p.next("subscribed")
		p.send(`{"subscribe":["b"],"token":"alice"}`) // beside subscribe in the first message only
		p.closes(wire.CloseBadMessage)
	})
}

func TestBinaryMessageCloses4400(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		p := f.open("", "alice")
		if err := p.ws.Write(context.Background(), websocket.MessageBinary, []byte(`{"subscribe":["a"]}`)); err != nil {
			t.Fatal(err)
		}
		p.closes(wire.CloseBadMessage)
	})
}

func TestMessageOfOneMiBIsTakenAndOneByteMoreCloses4400(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		text := func(size int) string {
			s := `{"subscribe":["a"],"id":"`
			return s + strings.Repeat("x", size-len(s)-2) + `"}`
		}
		p := f.open("", "alice")
		p.send(text(1 << 20))
		if s := p.next("subscribed"); len(s.ID) < 1<<20-100 {
			t.Errorf("id of %d bytes", len(s.ID))
		}
		_ = p.ws.Write(context.Background(), websocket.MessageText, []byte(text(1<<20+1)))
		p.closes(wire.CloseBadMessage)
	})
}

func TestMoreThanAHundredMessagesASecondClose4429(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		p := f.open("", "alice")
		for range 3 {
			for i := range 100 {
				p.send(fmt.Sprintf(`{"unsubscribe":["a"],"id":%d}`, i))
				p.next("unsubscribed")
			}
			time.Sleep(time.Second)
		}
		for range 100 {
			p.send(`{"unsubscribe":["a"]}`)
			p.next("unsubscribed")
		}
		p.send(`{"unsubscribe":["a"]}`)
		p.closes(wire.CloseRate)
	})
}

func TestWatchCountsOneAndEveryControlMessageOne(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		f.budget["alice"] = 3
		p := f.open("?subscribe=a", "alice")
		defer p.bye()
		p.next("subscribed")
		p.send(`{"subscribe":["b"]}`)
		p.next("subscribed")
		p.send(`{"token":"alice"}`)
		p.send(`{"subscribe":["c"],"id":9}`)
		if e := p.next("error"); e.Code != "rate_limited" || string(e.ID) != "9" || e.Message != "Exceed 1000 req/min" {
			t.Errorf("got %+v", e)
		}
		f.put("c", `1`)
		f.put("b", `1`)
		if u := p.next("update"); u.Key != "b" {
			t.Errorf("got %+v", u)
		}
	})
}

func TestWatchOverTheRateLimitIs429(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		f.budget["alice"] = 0
		for _, h := range [][]string{{"Authorization", "Bearer alice"}, {"Sec-WebSocket-Protocol", "dynconfig.v1, bearer.alice"}} {
			_, res := f.dial("", header(h...))
			if p := f.problem(res, 429); p.Detail != "Exceed 1000 req/min" {
				t.Errorf("got %+v", p)
			}
			if res.Header.Get("Retry-After") != "2" || res.Header.Get("RateLimit-Limit") != "1000" || res.Header.Get("RateLimit-Remaining") != "0" || res.Header.Get("RateLimit-Reset") != "60" {
				t.Errorf("headers %v", res.Header)
			}
		}
		p, _ := f.dial("", nil)
		p.send(`{"token":"alice"}`)
		p.closes(wire.CloseRate)
	})
}

func TestConnectionsBeyondTheLimitAre503(t *testing.T) {
	run(t, Options{MaxConnections: 2}, func(f *fixture) {
		p, q := f.open("", "alice"), f.open("", "bob")
		_, res := f.dial("", bearer("alice"))
		f.problem(res, 503)
		if res.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		f.problem(f.get("?subscribe=a", header("Authorization", "Bearer alice", "Accept", "text/event-stream")), 503)
		p.bye()
		synctest.Wait()
		f.open("", "alice").bye()
		q.bye()
	})
}

func TestPeerThatAnswersPingsStaysAndOneThatIsSilentCloses4408(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		begin := time.Now()
		p := f.open("?subscribe=a", "alice")
		time.Sleep(5 * time.Second)
		p.next("subscribed")
		for time.Since(begin) < 5*time.Minute { // reading answers pings
			p.next("bookmark")
		}
		begin = time.Now()
		time.Sleep(90 * time.Second)
		for {
			fr, err := p.read()
			if err == nil {
				if fr.Event != "bookmark" {
					t.Errorf("got %+v", fr)
				}
				continue
			}
			break
		}
		synctest.Wait()
		if n := f.handler.Connections(); n != 0 {
			t.Errorf("%d connections after %v of silence", n, time.Since(begin))
		}
	})
}

func TestPeerThatAnswersNoPingIsToldSoWithin40Seconds(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		begin := time.Now()
		mute := func(context.Context, []byte) bool { return false }
		p, _ := f.dialWith("?subscribe=a", &websocket.DialOptions{HTTPHeader: bearer("alice"), OnPingReceived: mute})
		p.next("subscribed")
		p.closes(wire.CloseSlow)
		if d := time.Since(begin); d < 40*time.Second || d > 41*time.Second {
			t.Errorf("closed after %v", d)
		}
	})
}

func TestPingOfAPeerIsAnswered(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		p := f.open("?subscribe=a", "alice")
		p.next("subscribed")
		go func() { _, _ = p.read() }()
		if err := p.ws.Ping(context.Background()); err != nil {
			t.Error(err)
		}
		p.bye()
	})
}

func TestSlowReaderHearsTheLastChangeOfEachKeyAndSlowsNobody(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		slow, fast := f.open("?subscribe=app.*", "alice"), f.open("?subscribe=app.*", "bob")
		strict := f.open("", "carol")
		strict.send(`{"subscribe":["app.*"],"every":true}`)
		slow.next("subscribed")
		fast.next("subscribed")
		strict.next("subscribed")
		const changes = 9000
		for i := range changes {
			f.put(fmt.Sprintf("app.k%d", i%3), fmt.Sprint(i))
			if u := fast.next("update"); string(u.Value) != fmt.Sprint(i) || u.Conflated {
				t.Fatalf("got %+v, want change %d", u, i)
			}
		}
		versions, last, conflated := map[string]int64{}, "", 0
		for last != fmt.Sprint(changes-1) {
			u := slow.next("update")
			if u.Version <= versions[u.Key] {
				t.Fatalf("version %d of %s after %d", u.Version, u.Key, versions[u.Key])
			}
			versions[u.Key], last = u.Version, string(u.Value)
			if u.Conflated {
				conflated++
			}
		}
		if conflated != 3 || len(versions) != 3 {
			t.Errorf("%d conflated frames, versions %v", conflated, versions)
		}
		for {
			if _, err := strict.read(); err != nil {
				if websocket.CloseStatus(err) != wire.CloseSlow {
					t.Errorf("got %v, want close code %d", err, wire.CloseSlow)
				}
				break
			}
		}
		slow.bye()
		fast.bye()
	})
}
