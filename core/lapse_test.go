package core_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

func TestAHeldReadEndsWithItsTokenAndNeverAnswersAfterIt(t *testing.T) {
	for name, test := range map[string]struct {
		key     string
		since   int64
		written bool // in the instant in which the token ends
	}{
		"nothing happens":                    {"k", 1, false},
		"the key changes at that instant":    {"k", 1, true},
		"an absent key is waited for":        {"absent", 0, false},
		"a key is created at that instant":   {"absent", 0, true},
		"the version is not the present one": {"k", 7, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := start(t, core.Options{})
				w.write(t, "root", put("k", "1"))
				var gone atomic.Bool
				caller := as("root")
				caller.Subject.Lapses = func(time.Time) bool { return gone.Load() }
				if test.since == 7 {
					gone.Store(true)
				}
				got := make(chan error, 1)
				go func() {
					_, err := w.Get(w.ctx, caller, core.Read{Kind: core.KindKey, Name: test.key, Since: &test.since, Wait: time.Minute})
					got <- err
				}()
				synctest.Wait() // until it is held
				begin := time.Now()
				gone.Store(true)
				if test.written {
					w.write(t, "root", put(test.key, "2"))
				}
				if err := <-got; !errors.Is(err, core.ErrUnauthenticated) || time.Since(begin) > time.Second {
					t.Errorf("got %v after %v, want ErrUnauthenticated within a second", err, time.Since(begin))
				}
			})
		})
	}
}

func TestAHeldReadAnswersWhileItsTokenLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, core.Options{})
		w.write(t, "root", put("k", "1"))
		ends := time.Now().Add(20 * time.Second)
		caller := as("root")
		caller.Subject.Lapses = func(now time.Time) bool { return !now.Before(ends) }
		go func() {
			time.Sleep(19 * time.Second)
			w.write(t, "root", put("k", "2"))
		}()
		it, err := w.Get(w.ctx, caller, core.Read{Kind: core.KindKey, Name: "k", Since: ptr(int64(1)), Wait: time.Minute})
		if err != nil || it.Entry.Version != 2 {
			t.Fatalf("got %+v, %v", it, err)
		}
		_, err = w.Get(w.ctx, caller, core.Read{Kind: core.KindKey, Name: "k", Since: ptr(int64(2)), Wait: time.Minute})
		if now := time.Now(); !errors.Is(err, core.ErrUnauthenticated) || now.Before(ends) || now.After(ends.Add(time.Second)) {
			t.Errorf("got %v %v after the end of the token", err, now.Sub(ends))
		}
	})
}
