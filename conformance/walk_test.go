package conformance

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

// namedMutant finds a mutant by what it does.
func namedMutant(t *testing.T, does string) mutant {
	t.Helper()
	all := mutants()
	i := slices.IndexFunc(all, func(m mutant) bool { return m.does == does })
	if i < 0 {
		t.Fatalf("there is no mutant that %s", does)
	}
	return all[i]
}

func TestRandomWalksCatchMutantsToo(t *testing.T) {
	inTurn, atOnce := walks[1].walk, walks[2].walk
	for _, c := range []struct {
		does string
		walk func(t testing.TB, s *subject, seed uint64)
	}{
		{"drops every fifth commit from the log", inTurn},
		{"logs the first change of a commit alone", inTurn},
		{"ignores version checks", inTurn},
		{"ignores rules checks", inTurn},
		{"takes a tombstone for nothing", inTurn},
		{"writes a part before it notices a conflict", inTurn},
		{"uses a number up for what it refuses", inTurn},
		{"does not say what it holds instead", inTurn},
		{"loses tombstones", inTurn},
		{"leaves a tombstone when it purges", inTurn},
		{"forgets the ACL of a tombstone", inTurn},
		{"forgets what a key was before", inTurn},
		{"takes an empty list for none", inTurn},
		{"takes the time as it comes", inTurn},
		{"commits a repeat again", inTurn},
		{"knows IDs on one node alone", inTurn},
		{"serves a stale page", inTurn},
		{"skips an entry between pages", inTurn},
		{"includes the end of a range", inTurn},
		{"ends a list at a page of tombstones", inTurn},
		{"sorts as a language does", inTurn},
		{"keeps no history below the floor", inTurn},
		{"remembers what was purged", inTurn},
		{"answers below the floor with what is above", inTurn},
		{"lets a commit be seen in part", atOnce},
		{"checks first and acts later", atOnce},
		{"reads the entries and then asks for the revision", atOnce},
	} {
		t.Run(c.does, func(t *testing.T) {
			t.Parallel()
			w := newWard(namedMutant(t, c.does).infect)
			for seed := range uint64(tries) {
				if record(t, func(t testing.TB) { c.walk(t, newSubject(t, w.open, w.options()), seed) }) != nil {
					return
				}
			}
			t.Errorf("%d walks did not catch it", tries)
		})
	}
}

// crowded adds to a disease that commits of a key come two at a time, so that what others did meanwhile matters.
func crowded(infect func() func(*core.Backend)) func() func(*core.Backend) {
	return func() func(*core.Backend) {
		disease := infect()
		var waiting sync.Map // *atomic.Int64 by key
		return func(b *core.Backend) {
			disease(b)
			patched{commit: func(ctx context.Context, s core.Store, txn core.Txn) (core.Commit, error) {
				for _, op := range txn.Ops[:min(1, len(txn.Ops))] {
					of, _ := waiting.LoadOrStore(op.Key, new(atomic.Int64))
					here := of.(*atomic.Int64)
					here.Add(1)
					defer here.Add(-1)
					soon(func() bool { return here.Load() > 1 })
				}
				return s.Commit(ctx, txn)
			}}.infect(b)
		}
	}
}

func TestHistoriesOfMutantsAreNotLinearizable(t *testing.T) {
	for _, does := range []string{
		"ignores version checks",
		"ignores rules checks",
		"checks first and acts later",
		"tells the head that it knew before",
		"loses tombstones",
	} {
		t.Run(does, func(t *testing.T) {
			w := newWard(crowded(namedMutant(t, does).infect))
			if record(t, func(t testing.TB) { stress(t, newSubject(t, w.open, w.options())) }) == nil {
				t.Errorf("it was not caught")
			}
		})
	}
}
