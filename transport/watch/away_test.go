package watch

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/dynconfig/dynconfig/core"
)

// deaf is a store that cannot be reached while it is stopped.
type deaf struct {
	core.Store
	stopped *atomic.Bool
}

func (d *deaf) Status(ctx context.Context) (core.Status, error) {
	if d.stopped.Load() {
		return core.Status{}, core.Errorf(core.ErrUnavailable, "connection refused")
	}
	return d.Store.Status(ctx)
}

// beyond is longer than reads go on without the store, by default.
const beyond = 70 * time.Second

func TestNoWatchBeginsBeyondMaxStale(t *testing.T) {
	runAway(t, func(f *fixture, stopped *atomic.Bool) {
		f.put("a", `"secret"`)
		stopped.Store(true)
		time.Sleep(beyond)
		const query = "?subscribe=a&snapshot=true"
		if reason := f.open(query, "bob").closes(int(websocket.StatusTryAgainLater)); reason != "The store is away; try again" {
			t.Errorf("a socket closes for %q", reason)
		}
		p := f.open("", "bob")
		p.send(`{"subscribe":["a"],"since_version":0}`)
		p.closes(int(websocket.StatusTryAgainLater))
		res := f.get(query, header("Authorization", "Bearer bob", "Accept", "text/event-stream"))
		if f.problem(res, 503); res.Header.Get("Retry-After") == "" {
			t.Errorf("a stream is refused with %v", res.Header)
		}
		stopped.Store(false)
		time.Sleep(5 * time.Second)
		p = f.open(query, "bob")
		p.next("subscribed")
		p.next("update")
		p.next("bookmark")
		p.bye()
	})
}

func TestAWatchThatIsUpToDateStaysOpenBeyondMaxStaleUnlessItMustBeginAnew(t *testing.T) {
	runAway(t, func(f *fixture, stopped *atomic.Bool) {
		f.put("a", "1")
		p, s := f.open("?subscribe=a&snapshot=true", "bob"), f.source("?subscribe=a&snapshot=true", "bob")
		last := make(chan block)
		go func() {
			var b block
			for next, ok := s.read(); ok; next, ok = s.read() {
				b = next
			}
			last <- b
		}()
		p.next("subscribed")
		p.next("update")
		p.next("bookmark")
		stopped.Store(true)
		for range 3 { // in more than two minutes
			if b := p.next("bookmark"); b.Synced {
				t.Error("a bookmark says that it ends a catch-up")
			}
		}
		f.rights.deny("carol read a") // a change of the policy
		p.closes(int(websocket.StatusTryAgainLater))
		if b := <-last; b.event != "error" || b.frame.Code != "unavailable" {
			t.Errorf("the stream ends with %+v", b)
		}
	})
}

func TestAStreamThatIsRefusedSaysHowStaleThatIs(t *testing.T) {
	runAway(t, func(f *fixture, stopped *atomic.Bool) {
		f.rights.deny("bob watch a")
		stopped.Store(true)
		time.Sleep(30 * time.Second)
		res := f.get("?subscribe=a", header("Authorization", "Bearer bob", "Accept", "text/event-stream"))
		if f.problem(res, 403); res.Header.Get("X-DynConfig-Stale") == "" {
			t.Errorf("it is refused with %v", res.Header)
		}
	})
}
