package conformance

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

var durablePromises = []promise{
	{name: "a restart forgets nothing", needs: needsReopen, test: restartForgetsNothing},
	{name: "an acknowledged commit survives a kill", needs: needsBreak, test: survivesKill},
}

// everything is all that a store shows.
type everything struct {
	Status  core.Status
	Entries []core.Entry
	Log     []core.Commit
	History map[core.Key][]core.Record
}

func all(t testing.TB, b *core.Backend) everything {
	t.Helper()
	st := status(t, b)
	st.Clock = time.Time{}
	e := everything{Status: st, Log: logAfter(t, b, st.Floor, 100), History: map[core.Key][]core.Record{}}
	e.Entries, _ = listAll(t, b, core.Query{Deleted: true})
	for _, entry := range e.Entries {
		e.History[entry.Key] = historyOf(t, b, entry.Key, 100)
	}
	return e
}

func restartForgetsNothing(t testing.TB, s *subject) {
	for round := range 3 {
		last := scatter(t, s.Backend, 20, uint64(round))[19]
		before := all(t, s.Backend)
		s.reopen(t)
		same(t, "what the store holds after a restart", before, all(t, s.Backend))
		old := txn(put("late", "1"))
		old.Meta.Time = last.Meta.Time.Add(-time.Hour)
		if c := mustCommit(t, s.Backend, old); c.Revision != last.Revision+1 || c.Meta.Time.Before(last.Meta.Time) {
			t.Errorf("after a restart, commit %d at %v is followed by %d at %v", last.Revision, last.Meta.Time, c.Revision, c.Meta.Time)
		}
		s.reopen(t)
		if st := status(t, s.Backend); st.Head != last.Revision+1 {
			t.Errorf("after a restart the head is %d, want %d", st.Head, last.Revision+1)
		}
	}
}

func survivesKill(t testing.TB, s *subject) {
	const writers, kills = 4, 3
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	acknowledged := make([][]core.Commit, writers)
	for i := range writers {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				c, err := persist(t.Context(), s.Backend, txn(put(core.Key(fmt.Sprint(i)), fmt.Sprint(n)), put(core.Key(fmt.Sprintf("%d/%d", i, n)), "1")))
				if err != nil {
					t.Errorf("Commit: %v", err)
					return
				}
				acknowledged[i] = append(acknowledged[i], c)
			}
		})
	}
	for range kills {
		head := status(t, s.Backend).Head
		reach(t, s.Backend, head+20)
		s.shake(t)
	}
	reach(t, s.Backend, status(t, s.Backend).Head+20)
	stop()
	wg.Wait()
	log := logAfter(t, s.Backend, 0, 1000)
	n := 0
	for i, own := range acknowledged {
		for _, c := range own {
			n++
			if int(c.Revision) > len(log) {
				t.Fatalf("acknowledged commit %d of writer %d is gone: the log ends at %d", c.Revision, i, len(log))
			}
			if same(t, "an acknowledged commit", c, log[c.Revision-1]); t.Failed() {
				return
			}
		}
	}
	if n != len(log) {
		t.Errorf("%d commits were acknowledged, the log holds %d: a repeated ID was committed again", n, len(log))
	}
}

// reach waits until the store has reached a revision.
func reach(t testing.TB, b *core.Backend, r core.Revision) {
	t.Helper()
	for {
		if status(t, b).Head >= r || t.Failed() {
			return
		}
	}
}
