package core_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// hung is a store that does not answer while it is stopped: every call lasts until its caller gives up.
type hung struct {
	core.Store
	stopped atomic.Bool
}

func (s *hung) wait(ctx context.Context) error {
	if !s.stopped.Load() {
		return nil
	}
	<-ctx.Done()
	return core.Errorf(core.ErrUnavailable, "Call was given up").Because(ctx.Err())
}

func (s *hung) Commit(ctx context.Context, txn core.Txn) (core.Commit, error) {
	if err := s.wait(ctx); err != nil {
		return core.Commit{}, err
	}
	return s.Store.Commit(ctx, txn)
}

func (s *hung) Sync(ctx context.Context) (core.Revision, error) {
	if err := s.wait(ctx); err != nil {
		return 0, err
	}
	return s.Store.Sync(ctx)
}

func (s *hung) Log(ctx context.Context, after core.Revision, limit int) ([]core.Commit, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	return s.Store.Log(ctx, after, limit)
}

func (s *hung) Get(ctx context.Context, keys []core.Key, atLeast core.Revision) (core.Page, error) {
	if err := s.wait(ctx); err != nil {
		return core.Page{}, err
	}
	return s.Store.Get(ctx, keys, atLeast)
}

func (s *hung) History(ctx context.Context, key core.Key, before core.Revision, limit int) ([]core.Record, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	return s.Store.History(ctx, key, before, limit)
}

func (s *hung) Status(ctx context.Context) (core.Status, error) {
	if err := s.wait(ctx); err != nil {
		return core.Status{}, err
	}
	return s.Store.Status(ctx)
}

func startHung(t *testing.T, o core.Options) (*world, *hung) {
	t.Helper()
	b, _ := shared(true)
	store := &hung{Store: b.Store}
	b.Store = store
	return startOn(t, b, o), store
}

func TestReadsGoOnForMaxStaleWhileTheStoreIsAwayAndAreMarked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, store := startHung(t, core.Options{MaxStale: 20 * time.Second})
		w.write(t, "root", put("k", "1"))
		time.Sleep(10 * time.Second)
		if it, err := w.read("root", "k"); err != nil || it.Stale != 0 {
			t.Errorf("with the store there: stale for %v, %v", it.Stale, err)
		}
		store.stopped.Store(true)
		time.Sleep(15 * time.Second)
		if it, err := w.read("root", "k"); err != nil || it.Stale < 14*time.Second || it.Stale > 16*time.Second {
			t.Errorf("after 15 s: stale for %v, %v", it.Stale, err)
		}
		time.Sleep(10 * time.Second)
		_, err := w.read("root", "k")
		want(t, err, core.ErrUnavailable)
		store.stopped.Store(false)
		time.Sleep(10 * time.Second)
		if it, err := w.read("root", "k"); err != nil || it.Stale != 0 {
			t.Errorf("with the store back: stale for %v, %v", it.Stale, err)
		}
	})
}

// wantAway demands the one thing that is said of a store that is away.
func wantAway(t *testing.T, what string, err error) {
	t.Helper()
	var e *core.Error
	if !errors.As(err, &e) || !errors.Is(err, core.ErrUnavailable) || e.Detail != "The store is away; try again" || e.Retry != time.Second {
		t.Errorf("%s: got %v, want that the store is away", what, err)
	}
}

func TestNobodyWaitsLongForAStoreThatIsNotThereAndAllAreToldTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, store := startHung(t, core.Options{CacheBytes: 1})
		w.write(t, "root", put("k", "1"))
		calls := map[string]func() error{
			"a write": func() error {
				_, err := w.Write(w.ctx, as("root"), core.Request{Writes: []core.Write{put("k", "1")}})
				return err
			},
			"a write that is to happen once": func() error {
				_, err := w.Write(w.ctx, as("root"), core.Request{Writes: []core.Write{put("k", "1")}, Idempotency: "again"})
				return err
			},
			"a write that would be refused": func() error {
				_, err := w.Write(w.ctx, as("bob"), core.Request{Writes: []core.Write{put("k", "1")}})
				return err
			},
			"a change of the policy": func() error {
				_, err := w.WritePolicy(w.ctx, as("root"), core.PolicyWrite{Value: []byte("{}")})
				return err
			},
			"a strong read": func() error {
				_, err := w.Get(w.ctx, as("root"), core.Read{Kind: core.KindKey, Name: "k", Strong: true})
				return err
			},
			"an environment that is not known": func() error {
				c := as("root")
				c.Environment = "nowhere"
				_, err := w.Get(w.ctx, c, core.Read{Kind: core.KindKey, Name: "k"})
				return err
			},
			"a question about a decision": func() error {
				_, err := w.Question(w.ctx, as("root"), core.ActionRead, core.KindKey, "k", "get")
				return err
			},
			"a question about a list": func() error {
				_, err := w.Question(w.ctx, as("root"), core.ActionList, core.KindKey, "app", "list")
				return err
			},
			"the stored policy": func() error {
				_, err := w.Policy(w.ctx, core.PolicySet)
				return err
			},
			"the policies of before": func() error {
				_, err := w.PolicyHistory(w.ctx, 0, 1)
				return err
			},
		}
		store.stopped.Store(true)
		for _, most := range []time.Duration{10 * time.Second, 2 * time.Second} { // at first, and once the node knows
			for what, call := range calls {
				begin := time.Now()
				err := call()
				wantAway(t, what, err)
				if took := time.Since(begin); took > most {
					t.Errorf("%s: it took %v, want at most %v", what, took, most)
				}
			}
			time.Sleep(10 * time.Second)
		}
		store.stopped.Store(false)
		for what, call := range calls { // at once, although the tail has not found out yet
			if err := call(); errors.Is(err, core.ErrUnavailable) {
				t.Errorf("%s, with the store back: %v", what, err)
			}
		}
	})
}

func TestHealthOfAStoreThatHangsIsProbedOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, store := startHung(t, core.Options{})
		store.stopped.Store(true)
		begin := time.Now()
		for range 10 {
			if h := w.Health(w.ctx); h.Status != core.Unhealthy {
				t.Errorf("health is %s", h.Status)
			}
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("the last was answered after %v", took)
		}
	})
}

// restless is a store whose log has grown by another commit whenever it is read.
type restless struct {
	core.Store
	other  *world
	t      *testing.T
	writes atomic.Bool
}

func (s *restless) Log(ctx context.Context, after core.Revision, limit int) ([]core.Commit, error) {
	if s.writes.Load() {
		s.other.write(s.t, "root", put("busy", "1"))
	}
	return s.Store.Log(ctx, after, limit)
}

func TestANodeIsNotStaleBecauseOthersWriteWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := shared(true)
		store := &restless{Store: two.Store, other: startOn(t, one, core.Options{}), t: t}
		two.Store = store
		b := startOn(t, two, core.Options{})
		store.other.write(t, "root", put("k", "1"))
		store.writes.Store(true)
		time.Sleep(time.Minute)
		if it, err := b.read("root", "k"); err != nil || it.Stale != 0 {
			t.Errorf("stale for %v, %v", it.Stale, err)
		}
	})
}
