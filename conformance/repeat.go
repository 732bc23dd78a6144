package conformance

import (
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

var repeatPromises = []promise{
	{name: "a repeated ID returns the first commit", test: repeatReturnsFirst},
	{name: "a repeated ID returns the first commit through a peer", test: repeatThroughPeer},
	{name: "a repeated ID returns the first commit after compaction", test: repeatAfterCompaction},
	{name: "a repeated ID returns the first commit after a restart", needs: needsReopen, test: repeatAfterReopen},
	{name: "racing repeats of an ID make one commit", test: racingRepeats},
	{name: "the ID of a refused transaction is free", test: refusedIDIsFree},
	{name: "a commit without an ID is never a repeat", test: noIDNoRepeat},
}

func repeatReturnsFirst(t testing.TB, s *subject) {
	tx := when(txn(put("a", "1"), put("b", "1")), version("a", 0))
	first := mustCommit(t, s.Backend, tx)
	repeats(t, s.Backend, tx, first)
	commit(t, s.Backend, put("a", "2"))
	repeats(t, s.Backend, tx, first) // although its check no longer holds
	empty := txn()
	nothing := mustCommit(t, s.Backend, empty)
	repeats(t, s.Backend, empty, nothing)
}

// repeats commits tx again and demands the first answer and no new commit.
func repeats(t testing.TB, b *core.Backend, tx core.Txn, first core.Commit) {
	t.Helper()
	before := status(t, b).Head
	again, err := persist(t.Context(), b, tx)
	if err != nil {
		t.Errorf("the repeat was answered %v", err)
		return
	}
	same(t, "the answer to the repeat", first, again)
	if after := status(t, b).Head; after != before {
		t.Errorf("the repeat moved the head from %d to %d", before, after)
	}
}

func repeatThroughPeer(t testing.TB, s *subject) {
	peer := s.peer(t)
	for i := range 20 {
		tx := txn(put("a", "1"))
		nodes := []*core.Backend{s.Backend, peer}
		first := mustCommit(t, nodes[i%2], tx)
		repeats(t, nodes[(i+1)%2], tx, first)
	}
}

func repeatAfterCompaction(t testing.TB, s *subject) {
	tx := when(txn(put("a", "1"), put("b", "1")), version("a", 0))
	first := mustCommit(t, s.Backend, tx)
	last := commit(t, s.Backend, purge("a"), del("b"))
	if err := s.Store.Compact(t.Context(), last.Revision, 0); err != nil {
		t.Fatalf("Compact: %v", err)
	}
	repeats(t, s.Backend, tx, first)
}

func repeatAfterReopen(t testing.TB, s *subject) {
	tx := when(txn(put("a", "1"), put("b", "1")), version("a", 0))
	first := mustCommit(t, s.Backend, tx)
	commit(t, s.Backend, put("a", "2"))
	s.reopen(t)
	repeats(t, s.Backend, tx, first)
}

func racingRepeats(t testing.TB, s *subject) {
	nodes := []*core.Backend{s.Backend, s.peer(t)}
	for round := range 10 {
		tx := txn(put("a", "1"))
		answers := make([]core.Commit, 8)
		together(t, len(answers), func(i int) (err error) {
			answers[i], err = persist(t.Context(), nodes[i%2], tx)
			return err
		})
		for _, c := range answers {
			same(t, "two answers to one ID", answers[0], c)
		}
		if st := status(t, s.Backend); st.Head != core.Revision(round+1) {
			t.Fatalf("after %d transactions, each sent 8 times, the head is %d", round+1, st.Head)
		}
	}
}

func refusedIDIsFree(t testing.TB, s *subject) {
	tx := when(txn(put("a", "1")), version("b", 1))
	refused(t, s.Backend, tx, core.ConflictError{Key: "b"})
	commit(t, s.Backend, put("b", "1"))
	c := mustCommit(t, s.Backend, tx)
	if c.Revision != 2 || len(c.Changes) != 1 {
		t.Errorf("once its check holds, the transaction is answered with %+v", c)
	}
	repeats(t, s.Backend, tx, c)
}

func noIDNoRepeat(t testing.TB, s *subject) {
	for i := range 3 {
		tx := txn(put("a", "1"))
		tx.Meta.ID = ""
		if c, err := s.Store.Commit(t.Context(), tx); err != nil || c.Revision != core.Revision(i+1) {
			t.Errorf("commit %d without an ID was answered with revision %d, %v", i+1, c.Revision, err)
		}
	}
}
