package authoring_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

func TestASourceThatRepairsASetUnderTheSameRevisionIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		s.hold("one", without("delete"), nil)
		a := deploy().start(t, s.options())
		broken := without("write")
		broken.Modules["authz_test.rego"] = "package t\ntest_a if false"
		s.hold("main", broken, nil)
		time.Sleep(time.Minute)
		if is := a.state(t); is.Revision != "one" || is.LastError == "" {
			t.Errorf("it is %+v", is)
		}
		s.hold("main", without("write"), nil)
		time.Sleep(time.Minute)
		if is := a.state(t); is.Revision != "main" || is.LastError != "" || !a.forbids(t, core.ActionWrite) {
			t.Errorf("it is %+v", is)
		}
	})
}

// read is a store that notes how many versions are asked for at once.
type read struct {
	core.Store
	most int
}

func (r *read) History(ctx context.Context, key core.Key, before core.Revision, limit int) ([]core.Record, error) {
	r.most = max(r.most, limit)
	return r.Store.History(ctx, key, before, limit)
}

func TestALongHistoryIsReadInSmallSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &read{Store: memory.Open(memory.Options{}).Store}
		a := deploy().start(t, settings{store: store})
		var want []string
		for i := range 40 {
			set := without("delete")
			set.Note = fmt.Sprint(i)
			want = append(want, a.put(t, set, wire.PutPolicy{}).Revision)
		}
		slices.Reverse(want)
		for _, limit := range []int{1, 16, 17, 40, 1000} {
			h, err := a.History(t.Context(), admin, limit)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range h.Versions {
				got = append(got, v.Revision)
			}
			if !slices.Equal(got, want[:min(limit, len(want))]) {
				t.Errorf("limit %d: got %v", limit, got)
			}
		}
		if store.most > 16 {
			t.Errorf("%d sets were read at once", store.most)
		}
	})
}

// distant is a store that cannot be reached for a while, and counts who tried.
type distant struct {
	core.Store
	away, tries atomic.Int64
}

func (d *distant) Sync(ctx context.Context) (core.Revision, error) {
	if d.away.Load() != 0 && d.tries.Add(1) < 1000 {
		return 0, core.Errorf(core.ErrUnavailable, "The store is away")
	}
	return d.Store.Sync(ctx)
}

func TestASetThatCannotBeRevertedYetIsTriedNowAndThenAndNotAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &distant{Store: memory.Open(memory.Options{}).Store}
		a := deploy().start(t, settings{store: store})
		a.put(t, without("delete"), wire.PutPolicy{Confirm: time.Minute})
		store.away.Store(1)
		time.Sleep(2 * time.Minute)
		if n := store.tries.Load(); n < 2 || n > 500 {
			t.Errorf("%d tries in a minute", n)
		}
		store.away.Store(0)
		time.Sleep(time.Minute)
		if a.forbids(t, core.ActionDelete) {
			t.Errorf("it is %+v", a.state(t))
		}
	})
}
