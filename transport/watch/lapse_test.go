package watch

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/wire"
)

func TestTokenWhoseKeyIsGoneCloses4401WithinASecondAndDeliversNothingMore(t *testing.T) {
	for name, written := range map[string]bool{"idle": false, "with a change under way": true} {
		t.Run(name, func(t *testing.T) {
			run(t, Options{}, func(f *fixture) {
				p := f.open("?subscribe=a", "alice")
				p.next("subscribed")
				first, _ := f.dial("", nil)
				first.send(`{"token":"bob","subscribe":["a"]}`)
				first.next("subscribed")
				f.rotate()
				begin := time.Now()
				if written {
					f.put("a", `1`)
				}
				for _, peer := range []*peer{p, first} {
					if reason := peer.closes(wire.CloseToken); reason != lapsed {
						t.Errorf("closed with %q", reason)
					}
				}
				if d := time.Since(begin); d > time.Second {
					t.Errorf("closed after %v", d)
				}
				f.open("?subscribe=a", "alice").bye() // under the new key
			})
		})
	}
}

func TestFreshTokenUnderTheNewKeyGoesOnWhenTheOldOneIsGone(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		p := f.open("?subscribe=a", "alice")
		defer p.bye()
		p.next("subscribed")
		old := f.gone
		f.mu.Lock()
		f.gone = &atomic.Bool{} // both keys are there
		f.mu.Unlock()
		p.send(`{"token":"alice"}`)
		synctest.Wait()
		old.Store(true)
		time.Sleep(2 * time.Second)
		f.put("a", `1`)
		p.next("update")
	})
}

func TestEventStreamEndsWhenTheKeyOfItsTokenIsGone(t *testing.T) {
	for name, written := range map[string]bool{"idle": false, "with a change under way": true} {
		t.Run(name, func(t *testing.T) {
			run(t, Options{}, func(f *fixture) {
				s := f.source("?subscribe=a", "alice")
				s.next("subscribed")
				f.rotate()
				begin := time.Now()
				if written {
					f.put("a", `1`)
				}
				if e := s.next("error"); e.frame.Code != "unauthorized" {
					t.Errorf("got %+v", e.frame)
				}
				if b, ok := s.read(); ok {
					t.Errorf("got %+v after the end", b)
				}
				if d := time.Since(begin); d > time.Second {
					t.Errorf("ended after %v", d)
				}
			})
		})
	}
}
