package core_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/core"
)

// losing is a store in which somebody else is always quicker.
type losing struct {
	core.Store
	tries int
}

func (s *losing) Commit(_ context.Context, txn core.Txn) (core.Commit, error) {
	s.tries++
	return core.Commit{}, &core.ConflictError{Key: txn.Ops[0].Key, Version: 1}
}

func TestAWriteThatLosesEveryRaceEndsAsAConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.Open(memory.Options{})
		store := &losing{Store: b.Store}
		b.Store = store
		w := startOn(t, b, core.Options{})
		_, err := w.Write(w.ctx, as("root"), core.Request{Writes: []core.Write{put("k", "1")}})
		want(t, err, core.ErrConflict)
		if store.tries < 10 {
			t.Errorf("it was given up after %d tries", store.tries)
		}
	})
}
