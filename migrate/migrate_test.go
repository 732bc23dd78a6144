package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/migrate"
)

// pasts are what may have become of a source's log.
var pasts = map[string]func(t testing.TB, b *core.Backend){
	"whole":                        func(testing.TB, *core.Backend) {},
	"compacted in part":            func(t testing.TB, b *core.Backend) { compact(t, b, 150, 10) },
	"compacted to the head":        func(t testing.TB, b *core.Backend) { compact(t, b, 300, 3) },
	"compacted to the last change": func(t testing.TB, b *core.Backend) { compact(t, b, 200, 1) },
	"compacted to entries alone":   func(t testing.TB, b *core.Backend) { compact(t, b, 300, 0) },
	"compacted again and again": func(t testing.TB, b *core.Backend) {
		compact(t, b, 100, 0)
		compact(t, b, 180, 4)
		compact(t, b, 250, 2)
	},
}

func source(t testing.TB, past string) *core.Backend {
	t.Helper()
	b := empty(t)
	grow(t, b, 1, 300)
	pasts[past](t, b)
	return b
}

func TestACopyHasTheSameEntriesTombstonesVersionsAndHistories(t *testing.T) {
	for past := range pasts {
		for _, window := range []int{0, 1, 20} {
			for _, limits := range []core.Limits{{MaxOps: 1000, MaxBytes: 8 << 20}, {MaxOps: 2, MaxBytes: 1 << 12}} {
				t.Run(fmt.Sprintf("%s, window %d, %d operations", past, window, limits.MaxOps), func(t *testing.T) {
					t.Parallel()
					from, to := source(t, past), empty(t)
					to.Limits = limits
					r, err := migrate.Run(t.Context(), from, to, migrate.Options{Window: window})
					if err != nil {
						t.Fatal(err)
					}
					same(t, from, to)
					want := contentOf(t, from)
					if r.Source != r.Target || r.Source.SHA256 == "" || r.Source.Entries != int64(len(want.Entries)) || r.Resumed {
						t.Errorf("the report is %+v, want %d entries", r, len(want.Entries))
					}
				})
			}
		}
	}
}

func TestKeysThatWereWrittenTogetherAreCopiedTogether(t *testing.T) {
	for _, floor := range []core.Revision{0, 2} {
		from, to := empty(t), empty(t)
		commit(t, from, core.Txn{Ops: []core.Op{put("0", core.KindKey, "a", "1"), put("0", core.KindKey, "b", "1"), put("1", core.KindKey, "c", "1")}})
		commit(t, from, core.Txn{Ops: []core.Op{put("0", core.KindKey, "b", "2")}})
		compact(t, from, floor, 10)
		if _, err := migrate.Run(t.Context(), from, to, migrate.Options{}); err != nil {
			t.Fatal(err)
		}
		log, err := to.Store.Log(t.Context(), 0, 0)
		if err != nil || len(log) != 2 || len(log[0].Changes) != 3 || len(log[1].Changes) != 1 {
			t.Errorf("with floor %d the copy's log is %+v, %v", floor, log, err)
		}
	}
}

func TestVersionsOfTombstonesContinue(t *testing.T) {
	from, to := empty(t), empty(t)
	key := core.MakeKey("0", core.KindKey, "a")
	for range 3 {
		commit(t, from, core.Txn{Ops: []core.Op{put("0", core.KindKey, "a", "1")}})
	}
	commit(t, from, core.Txn{Ops: []core.Op{{Key: key, Do: core.OpDelete}}})
	compact(t, from, 4, 1)
	if _, err := migrate.Run(t.Context(), from, to, migrate.Options{}); err != nil {
		t.Fatal(err)
	}
	c := commit(t, to, core.Txn{Ops: []core.Op{put("0", core.KindKey, "a", "2")}})
	if v := c.Changes[0].Entry.Version; v != 5 || !c.Changes[0].Was.Deleted {
		t.Errorf("the change after the tombstone of version 4 is %+v", c.Changes[0])
	}
}

func TestACopyThatIsCutAnywhereGoesOnAndRepeatsNothing(t *testing.T) {
	for past := range pasts {
		for _, ops := range []int{1000, 2} {
			t.Run(fmt.Sprintf("%s, %d operations", past, ops), func(t *testing.T) {
				t.Parallel()
				var clock atomic.Int64
				from := source(t, past)
				to := closed(t, memory.Open(memory.Options{Shared: true, Now: func() time.Time { return time.Unix(clock.Load(), 0) }}))
				to.Limits.MaxOps = ops
				r := rand.New(rand.NewPCG(uint64(ops), uint64(len(past))))
				cuts := 0
				for ; ; cuts++ {
					ctx, cancel := context.WithCancel(t.Context())
					left := int64(1 + r.IntN(15))
					report, err := migrate.Run(ctx, from, hook(to, func(context.Context, core.Txn) error {
						if atomic.AddInt64(&left, -1) == 0 {
							cancel()
						}
						return nil
					}), migrate.Options{Window: 30})
					cancel()
					if err == nil {
						if report.Resumed != (cuts > 0) {
							t.Errorf("after %d cuts the report is %+v", cuts, report)
						}
						break
					}
					if !errors.Is(err, core.ErrUnavailable) && !errors.Is(err, context.Canceled) {
						t.Fatal(err)
					}
					clock.Add(int64(r.IntN(2)) * 3600) // by then IDs are forgotten
				}
				if cuts == 0 {
					t.Error("nothing was cut")
				}
				same(t, from, to)
			})
		}
	}
}

func TestACopyThatIsDoneIsOnlyComparedAgain(t *testing.T) {
	from, to := source(t, "compacted in part"), empty(t)
	var reports [2]migrate.Report
	var heads [2]core.Revision
	for i := range reports {
		var err error
		if reports[i], err = migrate.Run(t.Context(), from, to, migrate.Options{}); err != nil {
			t.Fatal(err)
		}
		if heads[i], err = to.Store.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if reports[0].Target != reports[1].Target || !reports[1].Resumed || heads[0] != heads[1] {
		t.Errorf("two runs end at %v with %+v", heads, reports)
	}
}

func TestATargetThatHoldsAnythingElseIsRefused(t *testing.T) {
	const notEmpty = "Target is not empty, and what it holds is not the beginning of a copy of this source"
	from := source(t, "compacted in part")
	copied := func(t *testing.T, from *core.Backend) *core.Backend {
		to := empty(t)
		if _, err := migrate.Run(t.Context(), from, to, migrate.Options{}); err != nil {
			t.Fatal(err)
		}
		return to
	}
	for name, test := range map[string]struct {
		target   func(t *testing.T) *core.Backend
		sentence string
	}{
		"something": {func(t *testing.T) *core.Backend {
			b := empty(t)
			commit(t, b, core.Txn{Meta: core.Meta{ID: "x"}, Ops: []core.Op{put("0", core.KindKey, "a", "1")}})
			return b
		}, notEmpty},
		"a log alone": {func(t *testing.T) *core.Backend {
			b := empty(t)
			commit(t, b, core.Txn{})
			return b
		}, notEmpty},
		"a copy of another store": {func(t *testing.T) *core.Backend { return copied(t, source(t, "whole")) }, notEmpty},
		"a copy and then more": {func(t *testing.T) *core.Backend {
			b := copied(t, from)
			commit(t, b, core.Txn{})
			return b
		}, notEmpty},
		"a copy that was compacted": {func(t *testing.T) *core.Backend {
			b := copied(t, from)
			compact(t, b, 1000, 10)
			return b
		}, notEmpty},
		"the source itself": {func(t *testing.T) *core.Backend { return closed(t, from.Store.(*memory.Store).Peer()) }, "Source and target are the same store"},
	} {
		t.Run(name, func(t *testing.T) {
			to := test.target(t)
			before, err := to.Store.Sync(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_, err = migrate.Run(t.Context(), from, to, migrate.Options{})
			refused(t, err, test.sentence)
			if after, err := to.Store.Sync(t.Context()); err != nil || after != before {
				t.Errorf("the target went from revision %d to %d, %v", before, after, err)
			}
		})
	}
}

func TestASourceThatWasCompactedMeanwhileIsRefused(t *testing.T) {
	const sentence = "Source was compacted since the copy began: stop its servers, empty the target and begin again"
	from, to := source(t, "compacted in part"), empty(t)
	var once sync.Once
	_, err := migrate.Run(t.Context(), from, hook(to, func(context.Context, core.Txn) error {
		once.Do(func() { compact(t, from, 200, 1) })
		return nil
	}), migrate.Options{})
	refused(t, err, sentence)
	_, err = migrate.Run(t.Context(), from, to, migrate.Options{})
	refused(t, err, sentence)
}

func TestWhatIsWrittenToTheSourceMeanwhileIsCopiedToo(t *testing.T) {
	for past := range pasts {
		if past == "compacted to entries alone" {
			continue // the record that the copy makes of such an entry has none beside it once the entry is changed
		}
		t.Run(past, func(t *testing.T) {
			t.Parallel()
			from, to := source(t, past), empty(t)
			r := rand.New(rand.NewPCG(7, 7))
			var mu sync.Mutex
			writes := 0
			_, err := migrate.Run(t.Context(), from, hook(to, func(context.Context, core.Txn) error {
				mu.Lock()
				defer mu.Unlock()
				if writes++; writes > 20 {
					return nil
				}
				txn := core.Txn{Meta: core.Meta{Author: "late"}}
				for _, k := range r.Perm(len(names))[:3] {
					txn.Ops = append(txn.Ops, anyOp(r, time.Now().UTC().Truncate(time.Second), names[k]))
				}
				commit(t, from, txn)
				return nil
			}), migrate.Options{Window: 10})
			if err != nil {
				t.Fatal(err)
			}
			same(t, from, to)
		})
	}
}

func TestASourceThatNeverStandsStillIsGivenUp(t *testing.T) {
	from, to := source(t, "whole"), empty(t)
	_, err := migrate.Run(t.Context(), from, hook(to, func(context.Context, core.Txn) error { return nil }), migrate.Options{
		Progress: func(p migrate.Progress) {
			if p.Stage == migrate.Verifying {
				commit(t, from, core.Txn{Ops: []core.Op{put("0", core.KindKey, "busy", "1")}})
			}
		},
	})
	refused(t, err, "Source keeps changing: stop what writes to it, and go on")
}

func TestSomebodyElseWhoWritesToTheTargetIsNoticed(t *testing.T) {
	from, to := source(t, "whole"), empty(t)
	r := rand.New(rand.NewPCG(1, 1))
	var once sync.Once
	n := atomic.Int64{}
	_, err := migrate.Run(t.Context(), from, hook(to, func(context.Context, core.Txn) error {
		if n.Add(1) > 100 {
			once.Do(func() {
				txn := core.Txn{}
				for _, key := range names {
					op := anyOp(r, time.Now(), key)
					op.Do = core.OpPut
					txn.Ops = append(txn.Ops, op)
				}
				commit(t, to, txn)
			})
		}
		return nil
	}), migrate.Options{})
	if !errors.Is(err, core.ErrConflict) && !errors.Is(err, core.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

func TestATargetThatKeepsSomethingElseFailsTheComparison(t *testing.T) {
	for name, spoil := range map[string]func(txn *core.Txn){
		"value":   func(txn *core.Txn) { each(txn, func(op *core.Op) { op.Doc.Value = []byte("other") }) },
		"ACL":     func(txn *core.Txn) { each(txn, func(op *core.Op) { op.Doc.ACL = &core.ACL{Read: []string{}} }) },
		"expiry":  func(txn *core.Txn) { each(txn, func(op *core.Op) { op.Doc.Expires = time.Unix(1, 0).UTC() }) },
		"attrs":   func(txn *core.Txn) { each(txn, func(op *core.Op) { op.Doc.Attrs = map[string]string{"a": "b"} }) },
		"author":  func(txn *core.Txn) { txn.Meta.Author += "x" },
		"note":    func(txn *core.Txn) { txn.Meta.Note += "x" },
		"time":    func(txn *core.Txn) { txn.Meta.Time = txn.Meta.Time.Add(time.Microsecond) },
		"one key": func(txn *core.Txn) { txn.Ops = txn.Ops[:max(0, len(txn.Ops)-1)] },
	} {
		t.Run(name, func(t *testing.T) {
			from, to := empty(t), empty(t)
			commit(t, from, core.Txn{Meta: core.Meta{Time: time.Unix(1000, 0)}, Ops: []core.Op{put("0", core.KindKey, "a", "1"), put("0", core.KindKey, "b", "1")}})
			spoiled := *to
			spoiled.Store = &spoiler{to.Store, spoil}
			r, err := migrate.Run(t.Context(), from, &spoiled, migrate.Options{})
			refused(t, err, "Target is not the same as its source: empty it and begin again")
			if r.Source.SHA256 == r.Target.SHA256 || r.Source.SHA256 == "" || r.Target.SHA256 == "" {
				t.Errorf("the report is %+v", r)
			}
		})
	}
}

func each(txn *core.Txn, change func(op *core.Op)) {
	txn.Ops = slices.Clone(txn.Ops)
	for i := range txn.Ops {
		change(&txn.Ops[i])
	}
}

// spoiler is a Store that keeps something else than it is given.
type spoiler struct {
	core.Store
	spoil func(txn *core.Txn)
}

func (s *spoiler) Commit(ctx context.Context, txn core.Txn) (core.Commit, error) {
	s.spoil(&txn)
	return s.Store.Commit(ctx, txn)
}

func TestWhatIsTooLargeForTheTargetIsCopiedInParts(t *testing.T) {
	from, to := source(t, "compacted in part"), empty(t)
	_, err := migrate.Run(t.Context(), from, hook(to, func(_ context.Context, txn core.Txn) error {
		if len(txn.Ops) > 2 {
			return core.Errorf(core.ErrTooLarge, "More than it looks")
		}
		return nil
	}), migrate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, from, to)
	to = empty(t)
	_, err = migrate.Run(t.Context(), from, hook(to, func(context.Context, core.Txn) error { return core.Errorf(core.ErrTooLarge, "Always") }), migrate.Options{})
	refused(t, err, "Always")
}

func TestCommitsThatArriveOutOfOrderAreMadeInOrder(t *testing.T) {
	from, to := source(t, "compacted in part"), empty(t)
	var turn atomic.Int64
	_, err := migrate.Run(t.Context(), from, hook(to, func(ctx context.Context, _ core.Txn) error {
		if turn.Add(1)%3 == 0 { // lets others pass
			for range 100 {
				_, _ = to.Store.Sync(ctx)
			}
		}
		return nil
	}), migrate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, from, to)
}

func TestAStoreThatIsAwayForAMomentDoesNotEndTheCopy(t *testing.T) {
	from, to := source(t, "compacted in part"), empty(t)
	var calls atomic.Int64
	_, err := migrate.Run(t.Context(), from, hook(to, func(ctx context.Context, txn core.Txn) error {
		switch calls.Add(1) % 50 {
		case 0:
			return core.Errorf(core.ErrUnavailable, "Not now")
		case 1: // it happens, but nobody hears of it
			if _, err := to.Store.Commit(ctx, txn); err != nil {
				return err
			}
			return core.Errorf(core.ErrUnavailable, "No answer")
		}
		return nil
	}), migrate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, from, to)
}

func TestAnEmptySourceMakesAnEmptyTarget(t *testing.T) {
	from, to := empty(t), empty(t)
	r, err := migrate.Run(t.Context(), from, to, migrate.Options{})
	if err != nil || r.Target.Entries != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
	if head, err := to.Store.Sync(t.Context()); head != 0 || err != nil {
		t.Errorf("the target is at revision %d, %v", head, err)
	}
}
