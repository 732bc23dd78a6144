package core_test

import (
	"context"
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

func TestAWriterDoesNotWaitForAStoreThatIsNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, store := startHung(t, core.Options{})
		store.stopped.Store(true)
		for _, most := range []time.Duration{10 * time.Second, 2 * time.Second} { // at first, and once the node knows
			for _, idempotency := range []string{"", "again"} {
				begin := time.Now()
				_, err := w.Write(w.ctx, as("root"), core.Request{Writes: []core.Write{put("k", "1")}, Idempotency: idempotency})
				want(t, err, core.ErrUnavailable)
				if took := time.Since(begin); took > most {
					t.Errorf("the writer waited for %v, want at most %v", took, most)
				}
			}
			time.Sleep(10 * time.Second)
		}
		begin := time.Now()
		_, err := w.Get(w.ctx, as("root"), core.Read{Kind: core.KindKey, Name: "k", Strong: true})
		want(t, err, core.ErrUnavailable)
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("the strong reader waited for %v", took)
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
