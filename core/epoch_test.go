package core_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/core"
)

// replaced is a store in whose place another one may come, as where somebody deletes what a server keeps.
type replaced struct {
	now  atomic.Pointer[core.Store]
	list func() // called before each List, if it is not nil
}

func (r *replaced) Commit(ctx context.Context, t core.Txn) (core.Commit, error) {
	return (*r.now.Load()).Commit(ctx, t)
}

func (r *replaced) Sync(ctx context.Context) (core.Revision, error) { return (*r.now.Load()).Sync(ctx) }

func (r *replaced) Get(ctx context.Context, keys []core.Key, at core.Revision) (core.Page, error) {
	return (*r.now.Load()).Get(ctx, keys, at)
}

func (r *replaced) List(ctx context.Context, q core.Query) (core.Page, error) {
	if r.list != nil {
		r.list()
	}
	return (*r.now.Load()).List(ctx, q)
}

func (r *replaced) Log(ctx context.Context, after core.Revision, limit int) ([]core.Commit, error) {
	return (*r.now.Load()).Log(ctx, after, limit)
}

func (r *replaced) History(ctx context.Context, key core.Key, before core.Revision, limit int) ([]core.Record, error) {
	return (*r.now.Load()).History(ctx, key, before, limit)
}

func (r *replaced) Compact(ctx context.Context, upTo core.Revision, keep int) error {
	return (*r.now.Load()).Compact(ctx, upTo, keep)
}

func (r *replaced) Status(ctx context.Context) (core.Status, error) {
	return (*r.now.Load()).Status(ctx)
}

func TestWatchersOfANewEpochMissNothingOfIt(t *testing.T) {
	old, fresh := memory.Open(memory.Options{Shared: true}), memory.Open(memory.Options{Shared: true})
	store := &replaced{}
	store.now.Store(&old.Store)
	w := startOn(t, &core.Backend{Name: "replaced", Store: store, Limits: old.Limits}, core.Options{Poll: 5 * time.Millisecond})
	for range 5 {
		w.write(t, "root", put("k", "1"))
	}
	s := w.stream(t, "root")
	s.w.Subscribe(core.Subscription{Patterns: []string{"*"}})
	s.expect("subscribed")
	store.now.Store(&fresh.Store)
	s.expect("reset", "bookmark synced")
	w.write(t, "root", put("k", "2"))
	s.expect("update k 1")
}

func TestAWriteIsSeenByWhoeverWasToldOfItAlsoWhileEverythingIsLoadedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, fresh := memory.Open(memory.Options{Shared: true}), memory.Open(memory.Options{Shared: true})
		store := &replaced{}
		store.now.Store(&old.Store)
		w := startOn(t, &core.Backend{Name: "replaced", Store: store, Limits: old.Limits}, core.Options{Poll: time.Millisecond})
		for range 5 {
			w.write(t, "root", put("k", "1"))
		}
		asked, release := make(chan struct{}), make(chan struct{})
		store.list = sync.OnceFunc(func() {
			close(asked)
			<-release
		})
		store.now.Store(&fresh.Store)
		<-asked
		go func() {
			time.Sleep(time.Second)
			close(release)
		}()
		begin := time.Now()
		w.write(t, "root", put("new", "2"))
		if it, err := w.read("root", "new"); err != nil || it.Entry.Version != 1 {
			t.Errorf("told of it after %v, it is %+v, %v", time.Since(begin), it.Entry, err)
		}
	})
}
