package core_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/conformance"
	"github.com/dynconfig/dynconfig/core"
)

func TestMain(m *testing.M) { conformance.VerifyMain(m) }

// shared is a memory backend of two nodes: without a bus, if mute, only polling is left.
func shared(mute bool) (a, b *core.Backend) {
	a = memory.Open(memory.Options{})
	b = a.Store.(*memory.Store).Peer()
	for _, one := range []*core.Backend{a, b} {
		one.Limits.Shared = true
		if mute {
			one.Bus = nil
		}
	}
	return a, b
}

func TestNoWriteIsRefusedOnALaggingView(t *testing.T) {
	one, two := shared(true)
	a := startOn(t, one, core.Options{Poll: time.Hour})
	b := startOn(t, two, core.Options{Poll: time.Hour})
	a.write(t, "root", put("k", "1"))
	if _, err := b.Write(b.ctx, as("root"), core.Request{Writes: []core.Write{{Op: core.WritePatch, Kind: core.KindKey, Name: "k", Value: []byte("2")}}}); err != nil {
		t.Errorf("patch of a key that only the other node has seen: %v", err)
	}
	p := put("k", "3")
	p.IfMatch = &core.Match{Versions: []int64{2}}
	if _, err := a.Write(a.ctx, as("root"), core.Request{Writes: []core.Write{p}}); err != nil {
		t.Errorf("condition on a version that only the other node has seen: %v", err)
	}
	it, err := b.Get(b.ctx, as("root"), core.Read{Kind: core.KindKey, Name: "k", Strong: true})
	if err != nil || it.Entry.Version != 3 {
		t.Errorf("strong read: got version %d, %v", it.Entry.Version, err)
	}
}

func TestRulesThatAreTakenAwayBindWritersOnOtherNodes(t *testing.T) {
	one, two := shared(true)
	a := startOn(t, one, core.Options{Poll: time.Hour})
	b := startOn(t, two, core.Options{Poll: time.Hour})
	p := put("k", "1")
	p.SetACL, p.ACL = true, &core.ACL{Write: []string{"bob"}}
	a.write(t, "root", p)
	if err := func() error {
		_, err := b.Get(b.ctx, as("root"), core.Read{Kind: core.KindKey, Name: "k", Strong: true})
		return err
	}(); err != nil {
		t.Fatal(err)
	}
	a.write(t, "root", core.Write{Op: core.WritePatch, Kind: core.KindKey, Name: "k", SetACL: true, ACL: &core.ACL{Write: []string{"eve"}}})
	_, err := b.Write(b.ctx, as("bob"), core.Request{Writes: []core.Write{put("k", `"bob was here"`)}})
	want(t, err, core.ErrForbidden)
}

func TestWatchersOnEveryNodeSeeEveryVersionOnce(t *testing.T) {
	for _, mute := range []bool{false, true} {
		t.Run(fmt.Sprint("mute ", mute), func(t *testing.T) {
			one, two := shared(mute)
			a := startOn(t, one, core.Options{Poll: 5 * time.Millisecond})
			b := startOn(t, two, core.Options{Poll: 5 * time.Millisecond})
			streams := []*stream{a.stream(t, "root"), b.stream(t, "root")}
			for _, s := range streams {
				s.w.Subscribe(core.Subscription{Patterns: []string{"*"}, Snapshot: true})
				s.expect("subscribed", "bookmark synced")
			}
			var wg sync.WaitGroup
			const writers, each = 8, 100
			for i := range writers {
				w := []*world{a, b}[i%2]
				wg.Go(func() {
					for n := range each {
						p := put(fmt.Sprintf("k%d", n%5), fmt.Sprint(n))
						if _, err := w.Write(w.ctx, as("root"), core.Request{Writes: []core.Write{p}}); err != nil {
							t.Error(err)
						}
					}
				})
			}
			for _, s := range streams {
				seen := map[string]int64{}
				for range writers * each {
					ev := s.next()
					if ev.Version != seen[ev.Key]+1 {
						t.Fatalf("%s went from version %d to %d", ev.Key, seen[ev.Key], ev.Version)
					}
					seen[ev.Key] = ev.Version
				}
			}
			wg.Wait()
		})
	}
}

func TestANodeThatCompactionOvertookLoadsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := shared(true)
		a := startOn(t, one, core.Options{})
		b := startOn(t, two, core.Options{Poll: 200 * time.Millisecond})
		s := b.stream(t, "root")
		s.w.Subscribe(core.Subscription{Patterns: []string{"*"}, Snapshot: true})
		s.expect("subscribed", "bookmark synced")
		for i := range 50 {
			a.write(t, "root", put(fmt.Sprintf("k%d", i%3), fmt.Sprint(i)))
		}
		if err := one.Store.Compact(a.ctx, 50, 1); err != nil {
			t.Fatal(err)
		}
		a.write(t, "root", put("last", "1"))
		held, resets := map[string]int64{}, 0
		for held["last"] == 0 {
			switch ev := s.next(); ev.Kind {
			case core.EventReset:
				resets++
				clear(held)
			case core.EventUpdate:
				held[ev.Key] = ev.Version
			}
		}
		if held["k0"] != 17 || held["k1"] != 17 || held["k2"] != 16 || resets != 1 {
			t.Errorf("got %v after %d resets", held, resets)
		}
		r := a.stream(t, "root") // this node still has in memory what the store dropped
		r.w.Subscribe(core.Subscription{Patterns: []string{"k0"}, SinceRevision: core.Position{Epoch: a.Epoch(), Revision: 3}.String()})
		r.expect("subscribed")
		for version := 2; version <= 17; version++ {
			r.expect(fmt.Sprint("update k0 ", version))
		}
		r.expect("bookmark synced")
		if it, err := b.read("root", "k1"); err != nil || it.Entry.Version != 17 {
			t.Errorf("got %+v, %v", it, err)
		}
	})
}

// away is a store whose Commit does its work and then says that it does not know.
type away struct {
	core.Store
	mu   sync.Mutex
	left int
}

func (s *away) Commit(ctx context.Context, txn core.Txn) (core.Commit, error) {
	c, err := s.Store.Commit(ctx, txn)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left--; err == nil && s.left >= 0 {
		return core.Commit{}, core.Errorf(core.ErrUnavailable, "connection lost")
	}
	return c, err
}

func TestAWriteWhoseOutcomeIsUnknownIsAppliedOnce(t *testing.T) {
	b := memory.Open(memory.Options{})
	b.Store = &away{Store: b.Store, left: 3}
	w := startOn(t, b, core.Options{})
	if r := w.write(t, "root", put("k", "1")); r.Written[0].Version != 1 {
		t.Errorf("got %+v", r)
	}
	if it, err := w.read("root", "k"); err != nil || it.Entry.Version != 1 {
		t.Errorf("got %+v, %v", it, err)
	}
}

func TestAHeldReadEndsWhenItsKeyOrItsRightIsGone(t *testing.T) {
	for _, c := range []struct {
		name string
		do   core.Write
		want error
	}{
		{"right", core.Write{Op: core.WritePatch, Kind: core.KindKey, Name: "k", SetACL: true, ACL: &core.ACL{}}, core.ErrForbidden},
		{"key", core.Write{Op: core.WriteDelete, Kind: core.KindKey, Name: "k"}, core.ErrNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := start(t, core.Options{})
				p := put("k", "1")
				p.SetACL, p.ACL = true, &core.ACL{Read: []string{"bob"}}
				version := w.write(t, "root", p).Written[0].Version
				got := make(chan error, 1)
				go func() {
					_, err := w.Get(w.ctx, as("bob"), core.Read{Kind: core.KindKey, Name: "k", Since: &version, Wait: time.Minute})
					got <- err
				}()
				synctest.Wait() // until it is held
				begin := time.Now()
				w.write(t, "root", c.do)
				if err := <-got; !errors.Is(err, c.want) || time.Since(begin) > 0 {
					t.Errorf("got %v after %v, want %v at once", err, time.Since(begin), c.want)
				}
			})
		})
	}
}

func TestAHoldThatHidesDenialsDoesNotTellADeniedKeyFromAnAbsentOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, core.Options{})
		w.write(t, "root", put("there", "1"))
		hold := func(name string, wait time.Duration) (core.Item, time.Duration, error) {
			begin := time.Now()
			it, err := w.Get(w.ctx, as("bob"), core.Read{Kind: core.KindKey, Name: name, Since: ptr(int64(0)), Wait: wait, Hide: true})
			return it, time.Since(begin), err
		}
		for _, name := range []string{"there", "absent"} {
			if it, took, err := hold(name, 10*time.Second); err != nil || !it.NotModified || it.Entry.Version != 0 || took != 10*time.Second {
				t.Errorf("%s: got %+v, %v after %v", name, it, err, took)
			}
		}
		denials := 0
		for _, a := range w.audit.all() {
			if a.Outcome == core.OutcomeDenied {
				denials++
			}
		}
		if denials != 1 {
			t.Errorf("%d denials are recorded of one hold", denials)
		}
		go func() {
			time.Sleep(5 * time.Second)
			w.write(t, "root", core.Write{Op: core.WritePatch, Kind: core.KindKey, Name: "there", SetACL: true, ACL: &core.ACL{Read: []string{"bob"}}})
		}()
		if it, took, err := hold("there", time.Minute); err != nil || it.Entry.Version != 2 || took != 5*time.Second {
			t.Errorf("granted: got %+v, %v after %v", it, err, took)
		}
	})
}

func TestOpeningAgainFindsEverything(t *testing.T) {
	b := memory.Open(memory.Options{})
	w := startOn(t, b, core.Options{})
	p := put("app.k", "1")
	p.SetACL, p.ACL = true, &core.ACL{Read: []string{"bob"}}
	w.write(t, "root", p)
	w.write(t, "root", core.Write{Op: core.WritePut, Kind: core.KindNamespace, Name: "app", SetACL: true, ACL: &core.ACL{Write: []string{"bob"}}})
	w.write(t, "root", put("gone", "1"))
	w.write(t, "root", core.Write{Op: core.WriteDelete, Kind: core.KindKey, Name: "gone"})
	again := startOn(t, b, core.Options{})
	if _, err := again.read("bob", "app.k"); err != nil {
		t.Error(err)
	}
	again.write(t, "bob", put("app.k", "2"))
	if r := again.write(t, "root", put("gone", "2")); r.Written[0].Version != 3 {
		t.Errorf("got %+v, want version 3", r.Written[0])
	}
	if s := again.Stats(); s.Keys != 3 || s.Tombstones != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestTheLogIsCompactedByNumberAndByAge(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	w := start(t, core.Options{Now: clock, Retention: core.Retention{Age: time.Hour, Commits: 20, Versions: 2}})
	floor := func() core.Revision {
		t.Helper()
		if err := w.Compact(w.ctx); err != nil {
			t.Fatal(err)
		}
		s, err := w.backend.Store.Status(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		return s.Floor
	}
	for i := range 30 {
		w.write(t, "root", put("k", fmt.Sprint(i)))
	}
	if got := floor(); got != 10 {
		t.Errorf("30 commits, 20 kept: the floor is %d, want 10", got)
	}
	mu.Lock()
	now = now.Add(30 * time.Minute)
	mu.Unlock()
	w.write(t, "root", put("k", "31"))
	mu.Lock()
	now = now.Add(45 * time.Minute)
	mu.Unlock()
	if got := floor(); got != 30 {
		t.Errorf("30 commits older than an hour: the floor is %d, want 30", got)
	}
	if records, err := w.backend.Store.History(w.ctx, core.MakeKey(core.DefaultEnv, core.KindKey, "k"), 0, 10); err != nil || len(records) != 2 {
		t.Errorf("history holds %d versions, %v, want 2", len(records), err)
	}
}

func TestAResumeFromBeforeTheLogBeginsAnewOnEveryNode(t *testing.T) {
	b := memory.Open(memory.Options{Shared: true})
	kept := core.Options{Retention: core.Retention{Age: time.Hour, Commits: 3, Versions: 1}}
	w, other := startOn(t, b, kept), startOn(t, b, kept)
	from := w.write(t, "root", put("k", "1")).Position.String()
	for range 9 {
		w.write(t, "root", put("k", "2"))
	}
	if _, err := other.Get(other.ctx, as("root"), core.Read{Kind: core.KindKey, Name: "k", Strong: true}); err != nil {
		t.Fatal(err) // now it knows of all
	}
	for _, node := range []*world{w, other} { // the first one drops, the second finds that it is dropped
		if err := node.Compact(node.ctx); err != nil {
			t.Fatal(err)
		}
		s := node.stream(t, "root")
		s.w.Subscribe(core.Subscription{Patterns: []string{"k"}, SinceRevision: from})
		s.expect("subscribed", "reset", "update k 10 snapshot", "bookmark synced")
	}
}

func TestANodeThatCompactionOvertookSaysSo(t *testing.T) {
	b := memory.Open(memory.Options{Shared: true})
	w := startOn(t, b, core.Options{Retention: core.Retention{Age: time.Hour, Commits: 3, Versions: 1}})
	behind, err := core.Open(t.Context(), b, core.Options{Authorizer: &acl{}}) // does not run
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		w.write(t, "root", put("k", "1"))
	}
	if err := w.Compact(w.ctx); err != nil {
		t.Fatal(err)
	}
	_, err = behind.Get(t.Context(), as("root"), core.Read{Kind: core.KindKey, Name: "k", Strong: true})
	want(t, err, core.ErrUnavailable)
}
