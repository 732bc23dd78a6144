package conformance

import (
	"errors"
	"fmt"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

var compactPromises = []promise{
	{name: "below the floor the log is compacted, above it whole", test: belowFloorIsCompacted},
	{name: "history keeps the last changes of each key and all above the floor", test: compactKeeps},
	{name: "entries and tombstones outlive compaction", test: entriesOutliveCompaction},
	{name: "the floor never sinks", test: floorNeverSinks},
	{name: "a reader during compaction gets whole pages or is told", test: compactionUnderReaders},
	{name: "compaction survives a restart", needs: needsReopen, test: compactionSurvivesReopen},
}

func compact(t testing.TB, b *core.Backend, upTo core.Revision, keep int) {
	t.Helper()
	if err := b.Store.Compact(t.Context(), upTo, keep); err != nil {
		t.Fatalf("Compact(up to %d, keep %d): %v", upTo, keep, err)
	}
}

// floorIs demands that the log begins after floor and is what whole says, and that what is below is out of reach.
func floorIs(t testing.TB, b *core.Backend, floor core.Revision, whole []core.Commit) {
	t.Helper()
	if st := status(t, b); st.Floor != floor || st.Head != core.Revision(len(whole)) {
		t.Errorf("head and floor are %d and %d, want %d and %d", st.Head, st.Floor, len(whole), floor)
	}
	for r := range core.Revision(len(whole)) {
		if r >= floor {
			same(t, fmt.Sprintf("the log after %d", r), whole[r:], logAfter(t, b, r, 1000))
		} else if page, err := b.Store.Log(t.Context(), r, 10); !errors.Is(err, core.ErrCompacted) {
			t.Errorf("with floor %d, Log(after %d) gives %d commits and %v, want ErrCompacted", floor, r, len(page), err)
		}
	}
}

func belowFloorIsCompacted(t testing.TB, s *subject) {
	whole := scatter(t, s.Backend, 20, 5)
	peer := s.peer(t)
	for _, floor := range []core.Revision{0, 1, 9, 20} {
		compact(t, s.Backend, floor, 1)
		floorIs(t, s.Backend, floor, whole)
		floorIs(t, peer, floor, whole)
	}
	whole = append(whole, commit(t, s.Backend, put("a", "1")))
	floorIs(t, s.Backend, 20, whole)
}

// kept is what compactions leave of a key's records, which are newest first.
func kept(records []core.Record, upTo core.Revision, keep int) []core.Record {
	for i, r := range records {
		if i >= keep && r.Revision <= upTo {
			return records[:i]
		}
	}
	return records
}

func compactKeeps(t testing.TB, s *subject) {
	whole := scatter(t, s.Backend, 60, 6)
	left := map[core.Key][]core.Record{}
	for k := range 6 {
		key := core.Key(fmt.Sprintf("key/%d", k))
		left[key] = recordsOf(key, whole)
	}
	for _, step := range []struct {
		upTo core.Revision
		keep int
	}{{10, 3}, {10, 100}, {30, 5}, {50, 2}, {60, 1}, {60, 0}} {
		compact(t, s.Backend, step.upTo, step.keep)
		for key := range left {
			left[key] = kept(left[key], step.upTo, step.keep)
			same(t, fmt.Sprintf("the history of %q after Compact(%d, %d)", key, step.upTo, step.keep), left[key], historyOf(t, s.Backend, key, 7))
		}
	}
}

func entriesOutliveCompaction(t testing.TB, s *subject) {
	scatter(t, s.Backend, 30, 7)
	commit(t, s.Backend, put("live", "1"), put("dead", "1"))
	commit(t, s.Backend, del("dead"))
	before, _ := listAll(t, s.Backend, core.Query{Deleted: true})
	compact(t, s.Backend, 32, 0)
	after, _ := listAll(t, s.peer(t), core.Query{Deleted: true})
	same(t, "the entries after compaction", before, after)
	if c := commit(t, s.Backend, put("dead", "2")); first(t, c.Changes).Entry.Version != 3 || c.Revision != 33 {
		t.Errorf("after compaction the next commit is %+v, want version 3 at revision 33", c)
	}
}

func floorNeverSinks(t testing.TB, s *subject) {
	whole := scatter(t, s.Backend, 10, 8)
	for _, upTo := range []core.Revision{6, 3, 0, 6} {
		compact(t, s.Backend, upTo, 10)
		floorIs(t, s.Backend, 6, whole)
	}
}

func compactionUnderReaders(t testing.TB, s *subject) {
	whole := scatter(t, s.Backend, 200, 9)
	peer := s.peer(t)
	together(t, 3, func(i int) error {
		if i == 0 { // and reads when all is compacted
			for floor := core.Revision(10); floor <= 200; floor += 10 {
				if err := peer.Store.Compact(t.Context(), floor, 1); err != nil {
					return err
				}
			}
		}
		for at := core.Revision(0); at < 200; {
			page, err := s.Store.Log(t.Context(), at, 5)
			switch {
			case errors.Is(err, core.ErrCompacted):
				at += 5
				continue
			case err != nil:
				return err
			case len(page) == 0:
				return fmt.Errorf("Log(after %d) is empty below the head", at)
			}
			for _, c := range page {
				at++
				if c.Revision != at || len(c.Changes) != len(whole[at-1].Changes) {
					return fmt.Errorf("instead of commit %d the log gives %d with %d changes of %d", at, c.Revision, len(c.Changes), len(whole[at-1].Changes))
				}
			}
		}
		return nil
	})
}

func compactionSurvivesReopen(t testing.TB, s *subject) {
	whole := scatter(t, s.Backend, 30, 10)
	compact(t, s.Backend, 20, 2)
	s.reopen(t)
	floorIs(t, s.Backend, 20, whole)
	for k := range 6 {
		key := core.Key(fmt.Sprintf("key/%d", k))
		same(t, fmt.Sprintf("the history of %q", key), kept(recordsOf(key, whole), 20, 2), historyOf(t, s.Backend, key, 1000))
	}
}
