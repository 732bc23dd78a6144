package core_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

const tooOld = 20 * time.Second

// startAged runs an engine with keys and a namespace, whose store has been away for so long.
func startAged(t *testing.T, away time.Duration) (*world, *hung) {
	t.Helper()
	w, store := startHung(t, core.Options{MaxStale: tooOld})
	w.write(t, "root", put("k", "1"), put("other", "1"))
	w.write(t, "root", core.Write{Op: core.WritePut, Kind: core.KindNamespace, Name: "app", SetACL: true, ACL: &core.ACL{Read: []string{"bob"}}})
	store.stopped.Store(true)
	time.Sleep(away)
	return w, store
}

// reads are reads of every sort, with the error that they have while the view counts; each tells how stale it is.
func (w *world) reads() map[string]struct {
	want error
	read func() (stale time.Duration, err error)
} {
	get := func(who string, r core.Read) func() (time.Duration, error) {
		return func() (time.Duration, error) {
			it, err := w.Get(w.ctx, as(who), r)
			return it.Stale, err
		}
	}
	list := func(who string, f core.Filter) func() (time.Duration, error) {
		return func() (time.Duration, error) {
			l, err := w.List(w.ctx, as(who), f)
			return l.Stale, err
		}
	}
	many := func(names ...string) func() (time.Duration, error) {
		return func() (time.Duration, error) {
			l, err := w.GetMany(w.ctx, as("root"), core.KindKey, names)
			return l.Stale, err
		}
	}
	return map[string]struct {
		want error
		read func() (time.Duration, error)
	}{
		"a key":                           {nil, get("root", core.Read{Kind: core.KindKey, Name: "k"})},
		"a key that is known already":     {nil, get("root", core.Read{Kind: core.KindKey, Name: "k", Since: ptr(int64(1))})},
		"an absent key":                   {core.ErrNotFound, get("root", core.Read{Kind: core.KindKey, Name: "nope"})},
		"a denied key":                    {core.ErrForbidden, get("bob", core.Read{Kind: core.KindKey, Name: "k"})},
		"a namespace":                     {nil, get("root", core.Read{Kind: core.KindNamespace, Name: "app"})},
		"an absent namespace":             {core.ErrNotFound, get("root", core.Read{Kind: core.KindNamespace, Name: "nope"})},
		"a held key":                      {nil, get("root", core.Read{Kind: core.KindKey, Name: "k", Since: ptr(int64(1)), Wait: time.Second})},
		"a held absent key":               {nil, get("root", core.Read{Kind: core.KindKey, Name: "nope", Since: ptr(int64(0)), Wait: time.Second})},
		"a held denied key":               {core.ErrForbidden, get("bob", core.Read{Kind: core.KindKey, Name: "k", Since: ptr(int64(1)), Wait: time.Second})},
		"a held denied key that hides it": {core.ErrNotFound, get("bob", core.Read{Kind: core.KindKey, Name: "k", Since: ptr(int64(1)), Wait: time.Second, Hide: true})},
		"a list":                          {nil, list("root", core.Filter{Kind: core.KindKey})},
		"a list with values":              {nil, list("root", core.Filter{Kind: core.KindKey, Values: true})},
		"a list of nothing":               {nil, list("root", core.Filter{Kind: core.KindNamespace, Namespace: "nope"})},
		"a list of what another may read": {core.ErrForbidden, list("bob", core.Filter{Kind: core.KindKey, Principal: "eve"})},
		"exact keys":                      {nil, many("k", "nope")},
		"no exact key that is there":      {nil, many("nope")},
	}
}

func TestBeyondMaxStaleNoReadTellsAnythingNotEvenAnAbsenceOrADenial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := startAged(t, tooOld+5*time.Second)
		begin := time.Now()
		for what, r := range w.reads() {
			stale, err := r.read()
			wantAway(t, what, err)
			if stale != 0 || core.StaleOf(err) != 0 {
				t.Errorf("%s: is marked as an answer", what)
			}
		}
		_, err := w.Sees(w.ctx, as("root"), core.KindKey, "nope")
		wantAway(t, "whether a key is seen", err)
		if took := time.Since(begin); took > 0 {
			t.Errorf("that took %v", took)
		}
		for _, a := range w.audit.all() {
			if a.Outcome == core.OutcomeDenied {
				t.Errorf("a denial is recorded that nobody was told: %+v", a)
			}
		}
	})
}

func TestUpToMaxStaleEveryAnswerOfAReadIsMarkedRefusalsToo(t *testing.T) {
	for name, away := range map[string]time.Duration{"there": 0, "away": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, store := startAged(t, away)
				if away == 0 {
					store.stopped.Store(false)
				}
				for what, r := range w.reads() {
					stale, err := r.read()
					if err != nil {
						stale = core.StaleOf(err)
					}
					if !errors.Is(err, r.want) || away == 0 && stale != 0 || stale < away {
						t.Errorf("%s: got %v, stale for %v", what, err, stale)
					}
				}
			})
		})
	}
}

func TestAHeldReadEndsWhenWhatTheNodeHoldsGetsTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := startAged(t, 0)
		begin := time.Now()
		_, err := w.Get(w.ctx, as("root"), core.Read{Kind: core.KindKey, Name: "k", Since: ptr(int64(1)), Wait: core.MaxWait})
		wantAway(t, "the held read", err)
		if took := time.Since(begin); took < tooOld-time.Second || took > tooOld+2*time.Second {
			t.Errorf("it was held for %v", took)
		}
	})
}

func TestAReadForWhichTheStoreWasAskedIsFreshAlthoughNobodyElseHasHeardOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, _ := shared(true)
		w := startOn(t, one, core.Options{Poll: time.Hour})
		w.write(t, "root", put("k", "1"))
		time.Sleep(2 * time.Minute)
		_, err := w.read("root", "k")
		wantAway(t, "a read", err)
		it, err := w.Get(w.ctx, as("root"), core.Read{Kind: core.KindKey, Name: "k", Strong: true})
		if err != nil || it.Stale != 0 {
			t.Errorf("a strong read: stale for %v, %v", it.Stale, err)
		}
		if it, err := w.read("root", "k"); err != nil || it.Stale != 0 {
			t.Errorf("a read after it: stale for %v, %v", it.Stale, err)
		}
	})
}

// starts are the ways in which a subscription begins.
func (w *world) starts() map[string]core.Subscription {
	return map[string]core.Subscription{
		"from now on":         sub("*"),
		"with a snapshot":     {Patterns: []string{"*"}, Snapshot: true},
		"from a version":      {Patterns: []string{"k"}, SinceVersion: ptr(int64(0))},
		"from a revision":     {Patterns: []string{"*"}, SinceRevision: core.Position{Epoch: w.Epoch()}.String()},
		"from another's past": {Patterns: []string{"*"}, SinceRevision: "another1:1"},
	}
}

func TestBeyondMaxStaleNoSubscriptionBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, store := startAged(t, tooOld+5*time.Second)
		for _, who := range []string{"root", "bob"} {
			for how, s := range w.starts() {
				stream := w.stream(t, who)
				stream.w.Subscribe(s)
				wantAway(t, how, stream.end())
			}
		}
		store.stopped.Store(false)
		time.Sleep(10 * time.Second)
		s := w.stream(t, "root")
		s.w.Subscribe(core.Subscription{Patterns: []string{"k"}, Snapshot: true})
		s.expect("subscribed", "update k 1 snapshot", "bookmark synced")
	})
}

func TestUpToMaxStaleSubscriptionsAreServedFromWhatTheNodeHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := startAged(t, 10*time.Second)
		for how, s := range w.starts() {
			s.Patterns = []string{"k"}
			stream := w.stream(t, "root")
			stream.w.Subscribe(s)
			stream.expect("subscribed")
			if how != "from now on" {
				stream.until(core.EventBookmark)
			}
		}
	})
}

func TestACatchUpEndsWhenWhatTheNodeHoldsGetsTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, store := startHung(t, core.Options{MaxStale: tooOld})
		for i := range 200 {
			w.write(t, "root", put(fmt.Sprintf("k%03d", i), "1"))
		}
		s := w.stream(t, "root")
		s.w.Subscribe(core.Subscription{Patterns: []string{"*"}, Snapshot: true})
		s.expect("subscribed", "update k000 1 snapshot")
		store.stopped.Store(true)
		time.Sleep(tooOld + 5*time.Second) // the reader is slow
		shown := 1
		for {
			ev, ok, err := s.w.Next(s.ctx)
			if err != nil {
				wantAway(t, "the stream", err)
				break
			}
			if !ok || ev.Kind != core.EventUpdate {
				t.Fatalf("got %s, %v after %d keys", line(ev), ok, shown)
			}
			shown++
		}
		if shown >= 200 {
			t.Errorf("all %d keys were shown", shown)
		}
	})
}

// noWatching is a policy that may stop to let anybody watch.
type noWatching struct {
	acl
	stops atomic.Bool
}

func (p *noWatching) Authorize(ctx context.Context, who *core.Subject, ask core.Access) (core.Decision, error) {
	if p.stops.Load() && ask.Action == core.ActionWatch {
		return core.Decision{}, nil
	}
	return p.acl.Authorize(ctx, who, ask)
}

func TestAStreamThatMustBeginAnewBeyondMaxStaleEndsAndIsNotToldThatItIsDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := &noWatching{}
		w, store := startHung(t, core.Options{MaxStale: tooOld, Authorizer: policy})
		w.write(t, "root", put("k", "1"))
		s := w.stream(t, "root")
		s.w.Subscribe(sub("*"))
		s.expect("subscribed")
		store.stopped.Store(true)
		time.Sleep(tooOld + 5*time.Second)
		policy.stops.Store(true)
		s.w.Renew(&core.Subject{Username: "root"}, func(_, _ *core.Subject) bool { return false })
		wantAway(t, "the stream", s.end())
	})
}

func TestASyncedStreamOutlivesTheStoresAbsenceAndGetsOnlyBookmarksMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, store := startHung(t, core.Options{MaxStale: tooOld})
		w.write(t, "root", put("k", "1"))
		s := w.stream(t, "root")
		s.w.Subscribe(core.Subscription{Patterns: []string{"*"}, Snapshot: true})
		s.expect("subscribed", "update k 1 snapshot", "bookmark synced")
		at := w.Head()
		store.stopped.Store(true)
		for range 3 { // far beyond
			if ev := s.expect("bookmark")[0]; ev.Position != at {
				t.Errorf("the bookmark is at %v, want where the log was last read, %v", ev.Position, at)
			}
		}
		store.stopped.Store(false)
		time.Sleep(10 * time.Second)
		w.write(t, "root", put("k", "2"))
		for {
			if ev := s.next(); ev.Kind != core.EventBookmark {
				if line(ev) != "update k 2" {
					t.Errorf("got %s", line(ev))
				}
				break
			}
		}
	})
}
