package watch

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/dynconfig/dynconfig/wire"
)

// stranger opens a WebSocket without a token; it must be let in.
func (f *fixture) stranger() *peer {
	f.t.Helper()
	p, res := f.dial("", nil)
	if p == nil {
		f.t.Fatalf("refused with %d", res.StatusCode)
	}
	return p
}

func TestStrangersTakeNoPlaceFromThoseWithAToken(t *testing.T) {
	run(t, Options{MaxConnections: 2}, func(f *fixture) {
		var strangers []*peer
		for range 16 {
			strangers = append(strangers, f.stranger())
		}
		_, res := f.dial("", nil)
		f.problem(res, 503)
		first, second := f.open("?subscribe=a", "alice"), f.open("", "bob")
		defer first.bye()
		_, res = f.dial("", bearer("carol"))
		f.problem(res, 503)

		strangers[0].send(`{"token":"carol"}`) // who it is does not help: all places are taken
		strangers[0].closes(int(websocket.StatusTryAgainLater))
		second.bye()
		synctest.Wait()
		strangers[1].send(`{"token":"carol","subscribe":["a"]}`)
		strangers[1].next("subscribed")
		defer strangers[1].bye()
		_, res = f.dial("", bearer("dave"))
		f.problem(res, 503)
		synctest.Wait()
		for range 2 { // the places that the two had
			f.stranger()
		}
		_, res = f.dial("", nil)
		f.problem(res, 503)
	})
}

func TestATenthOfThePlacesIsForStrangersBesideTheRest(t *testing.T) {
	run(t, Options{MaxConnections: 200}, func(f *fixture) {
		for range 20 {
			f.stranger()
		}
		_, res := f.dial("", nil)
		f.problem(res, 503)
		f.open("", "alice").bye()
		if n := f.handler.Connections(); n < 20 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestConnectionThatBringsNoTokenIsAFailedAuthenticationOfItsAddress(t *testing.T) {
	run(t, Options{MaxConnections: 1000}, func(f *fixture) {
		says := func(text string, code int) func(*peer) {
			return func(p *peer) {
				p.send(text)
				p.closes(code)
			}
		}
		ways := map[string]func(*peer){
			"says nothing":            func(p *peer) { p.closes(wire.CloseToken) },
			"goes without a word":     func(p *peer) { p.bye() },
			"breaks off":              func(p *peer) { _ = p.ws.CloseNow() },
			"subscribes":              says(`{"subscribe":["a"]}`, wire.CloseToken),
			"brings a bad token":      says(`{"token":"bad"}`, wire.CloseToken),
			"brings two":              says(`{"token":"alice","token":"bob"}`, wire.CloseBadMessage),
			"says what is no message": says(`hello`, wire.CloseBadMessage),
			"sends binary": func(p *peer) {
				if err := p.ws.Write(context.Background(), websocket.MessageBinary, []byte{1}); err != nil {
					t.Fatal(err)
				}
				p.closes(wire.CloseBadMessage)
			},
		}
		address, counted := "", 0
		for name, way := range ways {
			way(f.stranger())
			synctest.Wait()
			counted++
			for address = range f.failed {
			}
			if n := f.failures(address); n != counted {
				t.Fatalf("%s: %d failures, want %d", name, n, counted)
			}
		}
		for counted < 10 {
			says(`{"unsubscribe":[]}`, wire.CloseToken)(f.stranger())
			counted++
		}
		_, res := f.dial("", nil)
		f.problem(res, 429)
		if res.Header.Get("Retry-After") == "" || res.Header.Get("RateLimit-Limit") != "10" {
			t.Errorf("headers %v", res.Header)
		}
		f.open("", "alice").bye() // a good token passes from everywhere
		f.problem(f.get("?subscribe=a", header("Accept", "text/event-stream")), 401)
	})
}

func TestStrangerThatBringsAGoodTokenOrIsSentAwayIsNoFailure(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		p := f.stranger()
		p.send(`{"token":"alice","subscribe":["a"]}`)
		p.next("subscribed")
		p.bye()
		away := f.stranger()
		away.send(`{"token":"away"}`) // the keys are
		away.closes(int(websocket.StatusTryAgainLater))
		f.stranger()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := f.handler.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if len(f.failed) != 0 {
			t.Errorf("failures %v", f.failed)
		}
	})
}
