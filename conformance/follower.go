package conformance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// follower watches every key of the stress, and holds what it was told against what it must be told.
type follower struct {
	mu    sync.Mutex
	at    map[string]int64 // the newest version, by key
	pos   core.Position
	moved chan struct{} // closed when something arrived
	fault error
}

// follow starts a follower on one of engines. A roaming one leaves now and then, in the middle of whatever comes, and goes
// on at another node from where it was.
func follow(t testing.TB, engines []*core.Engine, first int, roams bool) *follower {
	t.Helper()
	f := &follower{at: map[string]int64{}, moved: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	ready := make(chan struct{})
	began := sync.OnceFunc(func() { close(ready) })
	wg.Go(func() {
		defer began()
		r := rand.New(rand.NewPCG(uint64(first), 7))
		sub := core.Subscription{Patterns: []string{"stress.*"}, Snapshot: true, Every: true}
		for node := first; ctx.Err() == nil; node++ {
			stay := -1
			if roams {
				stay = 20 + r.IntN(100)
			}
			err := f.stay(ctx, engines[node%len(engines)], sub, stay, began)
			if err != nil && ctx.Err() == nil && !errors.Is(err, core.ErrUnavailable) {
				f.fail(err)
				return
			}
			if f.pos.Epoch != "" { // else it was not told where it is, and begins again
				sub = core.Subscription{Patterns: sub.Patterns, SinceRevision: f.pos.String(), Every: true}
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	<-ready
	return f
}

// stay watches on one node for so many events, or for ever if stay is negative. It calls began once it knows where it is.
func (f *follower) stay(ctx context.Context, e *core.Engine, sub core.Subscription, stay int, began func()) error {
	notified := make(chan struct{}, 1)
	w, err := e.Watch(ctx, tester, func() {
		select {
		case notified <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return err
	}
	defer w.Close()
	w.Subscribe(sub)
	for n := 0; n != stay; n++ {
		ev, ok, err := w.Next(ctx)
		if err != nil {
			return err
		}
		if !ok {
			select {
			case <-notified:
				n--
				continue
			case <-ctx.Done():
				return nil
			}
		}
		if err := f.hear(ev); err != nil {
			return err
		}
		if f.pos.Epoch != "" {
			began()
		}
	}
	return nil
}

// hear takes an event in. Each key's versions come one after the other, and positions only grow.
func (f *follower) hear(ev core.Event) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch ev.Kind {
	case core.EventSubscribed:
		return nil
	case core.EventBookmark:
		f.pos = ev.Position
		return nil
	case core.EventUpdate, core.EventDelete:
	default:
		return fmt.Errorf("a watcher that nothing happened to was told %q: %+v", ev.Kind, ev)
	}
	if ev.Conflated || ev.Snapshot {
		return fmt.Errorf("a watcher of everything was told %+v", ev)
	}
	if f.at[ev.Key]+1 != ev.Version {
		return fmt.Errorf("after version %d of %s, at %s, a watcher was told version %d, at %s", f.at[ev.Key], ev.Key, f.pos, ev.Version, ev.Position)
	}
	if !later(ev.Position, f.pos) {
		return fmt.Errorf("after %s a watcher was told of %s", f.pos, ev.Position)
	}
	f.at[ev.Key], f.pos = ev.Version, ev.Position
	close(f.moved)
	f.moved = make(chan struct{})
	return nil
}

// later reports whether a comes after b. The end of a commit, Sub 0, comes after its parts.
func later(a, b core.Position) bool {
	if a.Revision != b.Revision {
		return a.Revision > b.Revision
	}
	return b.Sub != 0 && (a.Sub == 0 || a.Sub > b.Sub)
}

func (f *follower) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = err
	close(f.moved)
	f.moved = make(chan struct{})
}

// await waits until the follower holds the versions that there are. They are read again and again, because a write that
// its client gave up may still come.
func (f *follower) await(t testing.TB, within time.Duration, versions func() map[string]int64) {
	t.Helper()
	end := time.After(within)
	for {
		f.mu.Lock()
		moved := f.moved
		f.mu.Unlock()
		there := versions()
		f.mu.Lock()
		fault, differs := f.fault, ""
		for name, version := range there {
			if f.at[name] != version {
				differs = fmt.Sprintf("%s at version %d instead of %d", name, f.at[name], version)
			}
		}
		f.mu.Unlock()
		if fault != nil {
			t.Fatal(fault)
		}
		if differs == "" {
			return
		}
		select {
		case <-moved:
		case <-retry():
		case <-end:
			t.Fatalf("a watcher did not converge: it holds %s", differs)
		}
	}
}
