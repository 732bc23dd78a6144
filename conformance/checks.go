package conformance

import (
	"errors"
	"fmt"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

var checkPromises = []promise{
	{name: "all checks hold or nothing changes", test: allOrNothing},
	{name: "a conflict names what is held", test: conflictNames},
	{name: "a version check holds for that version alone", test: versionCheck},
	{name: "version 0 means that there is no entry, not even a tombstone", test: zeroMeansNone},
	{name: "a rules check fails after an ACL change, not after a value change", test: rulesCheck},
	{name: "one writer wins a contested version", test: oneWinner},
	{name: "a key stands once in a transaction", test: keyOnce},
}

// refused demands that a transaction fails with the conflict want (but for Head) and changes nothing.
func refused(t testing.TB, b *core.Backend, tx core.Txn, want core.ConflictError) {
	t.Helper()
	before := status(t, b).Head
	c, err := b.Store.Commit(t.Context(), tx)
	var conflict *core.ConflictError
	if !errors.As(err, &conflict) || !errors.Is(err, core.ErrConflict) {
		t.Errorf("%+v was answered (%+v, %v), want a *core.ConflictError", tx, c, err)
		return
	}
	want.Head = before
	same(t, "the conflict", want, *conflict)
	if after := status(t, b).Head; after != before {
		t.Errorf("a refused transaction moved the head from %d to %d", before, after)
	}
}

// granted demands that a transaction commits.
func granted(t testing.TB, b *core.Backend, tx core.Txn) {
	t.Helper()
	if _, err := b.Store.Commit(t.Context(), tx); err != nil {
		t.Errorf("%+v was refused: %v", tx, err)
	}
}

func allOrNothing(t testing.TB, s *subject) {
	commit(t, s.Backend, put("a", "1"), put("b", "1"))
	refused(t, s.Backend, when(txn(put("a", "2"), put("c", "2"), del("b")), version("a", 1), version("b", 7)),
		core.ConflictError{Key: "b", Version: 1, Rules: 1})
	want := map[core.Key]string{"a": "1", "b": "1"}
	for _, e := range list(t, s.Backend, core.Query{Deleted: true}).Entries {
		if want[e.Key] != string(e.Doc.Value) || e.Version != 1 {
			t.Errorf("a refused transaction left %+v", e)
		}
		delete(want, e.Key)
	}
	if len(want) != 0 {
		t.Errorf("a refused transaction lost %v", want)
	}
	for _, key := range []core.Key{"a", "b", "c"} {
		if n := len(historyOf(t, s.Backend, key, 10)); n > 1 || key == "c" && n > 0 {
			t.Errorf("a refused transaction left %d records in the history of %q", n, key)
		}
	}
	granted(t, s.Backend, when(txn(put("a", "2"), put("c", "2"), del("b")), version("a", 1), version("b", 1), version("c", 0)))
}

func conflictNames(t testing.TB, s *subject) {
	commit(t, s.Backend, put("x", "1"))
	commit(t, s.Backend, put("a", "1"))
	commit(t, s.Backend, put("a", "2"))
	commit(t, s.Backend, del("x"))
	refused(t, s.Backend, when(txn(put("b", "1")), version("a", 1)), core.ConflictError{Key: "a", Version: 2, Rules: 2})
	refused(t, s.Backend, when(txn(put("b", "1")), rules("a", 3)), core.ConflictError{Key: "a", Version: 2, Rules: 2})
	refused(t, s.Backend, when(txn(put("b", "1")), version("x", 0)), core.ConflictError{Key: "x", Version: 2, Rules: 4})
	refused(t, s.peer(t), when(txn(put("b", "1")), version("none", 3)), core.ConflictError{Key: "none"})
	refused(t, s.peer(t), when(txn(), version("a", 2), version("x", 9), version("none", 3)), core.ConflictError{Key: "x", Version: 2, Rules: 4})
}

func versionCheck(t testing.TB, s *subject) {
	for v := range int64(3) {
		for _, wrong := range []int64{v - 1, v + 1, -1, 1 << 40} {
			held := core.ConflictError{Key: "a", Version: v}
			if v > 0 {
				held.Rules = 1
			}
			refused(t, s.Backend, when(txn(put("a", "x")), version("a", wrong)), held)
		}
		granted(t, s.Backend, when(txn(put("a", "1")), version("a", v)))
	}
}

func zeroMeansNone(t testing.TB, s *subject) {
	granted(t, s.Backend, when(txn(put("a", "1")), version("a", 0), rules("a", 0)))
	granted(t, s.Backend, txn(del("a")))
	refused(t, s.Backend, when(txn(put("a", "1")), version("a", 0)), core.ConflictError{Key: "a", Version: 2, Rules: 2})
	refused(t, s.Backend, when(txn(put("a", "1")), rules("a", 0)), core.ConflictError{Key: "a", Version: 2, Rules: 2})
	granted(t, s.Backend, txn(purge("a")))
	granted(t, s.Backend, when(txn(put("a", "1")), version("a", 0), rules("a", 0)))
}

func rulesCheck(t testing.TB, s *subject) {
	acl := func(names ...string) *core.ACL { return &core.ACL{Read: names} }
	doc := func(value string, acl *core.ACL) core.Op {
		return core.Op{Key: "a", Do: core.OpPut, Doc: core.Doc{Value: []byte(value), ACL: acl}}
	}
	ttl := doc("5", acl("bob"))
	ttl.Doc.TTL = 60e9
	steps := []struct {
		op   core.Op
		want core.Revision
		why  string
	}{
		{doc("1", acl("ann")), 1, "creation"},
		{doc("2", acl("ann")), 1, "a value change"},
		{doc("2", acl("ann", "bob")), 3, "an ACL change"},
		{doc("3", acl("ann", "bob")), 3, "a value change"},
		{doc("3", nil), 5, "the ACL's end"},
		{doc("3", acl("bob")), 6, "an ACL's beginning"},
		{ttl, 7, "a TTL change"},
		{del("a"), 8, "deletion"},
		{doc("4", acl("bob")), 9, "re-creation"},
	}
	held := core.Revision(0)
	for _, step := range steps {
		c, err := s.Store.Commit(t.Context(), when(txn(step.op), rules("a", held)))
		if err != nil {
			t.Fatalf("with rules %d, %s was refused: %v", held, step.why, err)
		}
		e := first(t, c.Changes).Entry
		if e.Rules != step.want {
			t.Errorf("after %s rules are %d, want %d", step.why, e.Rules, step.want)
		}
		if held != step.want {
			refused(t, s.Backend, when(txn(put("a", "x")), rules("a", held)), core.ConflictError{Key: "a", Version: e.Version, Rules: step.want})
		}
		held = step.want
	}
}

func oneWinner(t testing.TB, s *subject) {
	const rounds, writers = 5, 16
	nodes := []*core.Backend{s.Backend, s.peer(t)}
	for round := range rounds {
		won := make([]bool, writers)
		together(t, writers, func(i int) error {
			_, err := persist(t.Context(), nodes[i%2], when(txn(put("a", fmt.Sprint(i))), version("a", int64(round))))
			won[i] = err == nil
			if errors.Is(err, core.ErrConflict) {
				return nil
			}
			return err
		})
		winner := -1
		for i, w := range won {
			if w && winner >= 0 {
				t.Errorf("writers %d and %d both changed version %d", winner, i, round)
			}
			if w {
				winner = i
			}
		}
		if winner < 0 {
			t.Fatalf("nobody could change version %d", round)
		}
		if e := get(t, s.Backend, "a", 0); e == nil || e.Version != int64(round+1) || string(e.Doc.Value) != fmt.Sprint(winner) {
			t.Errorf("writer %d won version %d, but the entry is %+v", winner, round+1, e)
		}
	}
}

func keyOnce(t testing.TB, s *subject) {
	_, err := s.Store.Commit(t.Context(), txn(put("a", "1"), put("b", "1"), del("a")))
	if !errors.Is(err, core.ErrInvalid) {
		t.Errorf("a transaction with a key twice was answered %v, want ErrInvalid", err)
	}
	if st := status(t, s.Backend); st.Head != 0 {
		t.Errorf("a transaction with a key twice made revision %d", st.Head)
	}
}
