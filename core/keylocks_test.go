package core_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/core"
)

// unfair is a store in which a commit takes a while, and longer the more there is in it.
type unfair struct{ core.Store }

func (s unfair) Commit(ctx context.Context, txn core.Txn) (core.Commit, error) {
	time.Sleep(time.Duration(len(txn.Ops)) * time.Millisecond)
	return s.Store.Commit(ctx, txn)
}

func TestAnIdempotentWriteSucceedsAmongUnconditionalWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.Open(memory.Options{})
		b.Store = unfair{b.Store}
		w := startOn(t, b, core.Options{})
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(w.ctx)
		for range 8 {
			wg.Go(func() {
				for ctx.Err() == nil {
					if _, err := w.Write(w.ctx, as("root"), core.Request{Writes: []core.Write{put("k", "1")}}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for i := range 20 {
			req := core.Request{Writes: []core.Write{put("k", fmt.Sprint(i))}, Idempotency: fmt.Sprint(i)}
			if _, err := w.Write(w.ctx, as("root"), req); err != nil {
				t.Errorf("write %d: %v", i, err)
			}
		}
		cancel()
		wg.Wait()
	})
}

func TestWritersOfOneKeyWithIdempotencyKeysAllSucceed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, core.Options{})
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				req := core.Request{Writes: []core.Write{put("k", fmt.Sprint(i))}, Idempotency: fmt.Sprint(i)}
				if _, err := w.Write(w.ctx, as("root"), req); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if it, err := w.read("root", "k"); err != nil || it.Entry.Version != 200 {
			t.Errorf("got version %d, %v, want 200", it.Entry.Version, err)
		}
	})
}
