package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

var limitPromises = []promise{
	{name: "limits are at least those of every backend", test: limitsFloor},
	{name: "a backend that several nodes may open says so", needs: needsPeer, test: sharedSaysSo},
	{name: "the largest transaction is taken", test: largestTransaction},
	{name: "a larger transaction is too large and changes nothing", test: tooLargeTransaction},
	{name: "the largest entry is taken", test: largestEntry},
}

func limitsFloor(t testing.TB, s *subject) {
	if l := s.Limits; l.MaxOps < core.MinOps || l.MaxBytes < core.MinBytes {
		t.Errorf("limits are %+v, want at least %d operations and %d bytes", l, core.MinOps, core.MinBytes)
	}
	if s.Name == "" {
		t.Errorf("the backend has no name")
	}
}

// sharedSaysSo matters to the Engine, which does not ask a store again that nobody else writes to.
func sharedSaysSo(t testing.TB, s *subject) {
	if !s.Limits.Shared || !s.peer(t).Limits.Shared {
		t.Errorf("limits are %+v although the store has peers, want Shared", s.Limits)
	}
}

// full is a transaction of n puts with size bytes of values in all and a check for each.
func full(n, size int) core.Txn {
	tx := txn()
	for i := range n {
		share := size / n
		if i < size%n {
			share++
		}
		key := core.Key(fmt.Sprintf("full/%05d", i))
		value := bytes.Repeat([]byte{byte('a' + i%26)}, share)
		tx.Ops = append(tx.Ops, core.Op{Key: key, Do: core.OpPut, Doc: core.Doc{Value: value}})
		tx = when(tx, version(key, 0), rules("elsewhere", 0))
	}
	return tx
}

func largestTransaction(t testing.TB, s *subject) {
	tx := full(s.Limits.MaxOps, min(s.Limits.MaxBytes, s.Limits.MaxOps*core.MaxValue))
	c := mustCommit(t, s.Backend, tx)
	if len(c.Changes) != len(tx.Ops) {
		t.Fatalf("%d operations made %d changes", len(tx.Ops), len(c.Changes))
	}
	peer := s.peer(t)
	log := logAfter(t, peer, 0, 10)
	if len(log) != 1 {
		t.Fatalf("one transaction made %d commits", len(log))
	}
	same(t, "the commit in the log", c, log[0])
	entries, _ := listAll(t, peer, core.Query{AtLeast: c.Revision})
	for i, e := range entries {
		if !bytes.Equal(e.Doc.Value, tx.Ops[i].Doc.Value) {
			t.Errorf("%q has another value than was put", e.Key)
		}
	}
	if len(entries) != len(tx.Ops) {
		t.Errorf("%d keys were put, %d are there", len(tx.Ops), len(entries))
	}
}

func tooLargeTransaction(t testing.TB, s *subject) {
	l := s.Limits
	for what, tx := range map[string]core.Txn{
		"one operation more":           full(l.MaxOps+1, l.MaxOps+1),
		"more bytes and all overheads": full(l.MaxOps, l.MaxBytes+l.MaxOps*core.MaxOverhead+1),
	} {
		if _, err := s.Store.Commit(t.Context(), tx); !errors.Is(err, core.ErrTooLarge) {
			t.Errorf("%s than %+v was answered %v, want ErrTooLarge", what, l, err)
		}
	}
	if st := status(t, s.Backend); st.Head != 0 {
		t.Errorf("a transaction that is too large moved the head to %d", st.Head)
	}
	commit(t, s.Backend, put("a", "1"))
}

func largestEntry(t testing.TB, s *subject) {
	key := core.Key(strings.Repeat("k", 1024))
	name := strings.Repeat("n", core.MaxACLBytes/core.MaxACLEntries)
	acl := &core.ACL{Read: []string{}, Admin: []string{}}
	for i := range core.MaxACLEntries {
		acl.Write = append(acl.Write, fmt.Sprintf("%05d%s", i, name[5:]))
	}
	doc := core.Doc{Value: bytes.Repeat([]byte("\x00v"), (core.MaxValue+core.MaxOverhead)/2), ACL: acl}
	for i := range 3 {
		doc.Value[0] = byte(i)
		c := commit(t, s.Backend, core.Op{Key: key, Do: core.OpPut, Doc: doc})
		e := get(t, s.peer(t), key, c.Revision)
		if e == nil {
			t.Fatalf("the entry is not there")
		}
		if !bytes.Equal(e.Doc.Value, doc.Value) || !e.Doc.ACL.Equal(acl) {
			t.Errorf("version %d of the entry did not come back as it was put", e.Version)
		}
	}
	for i, r := range historyOf(t, s.Backend, key, 10) {
		if v := r.Change.Entry.Doc.Value; len(v) != len(doc.Value) || v[0] != byte(2-i) {
			t.Errorf("record %d of the history has another value than was put", i)
		}
	}
	if n := len(logAfter(t, s.Backend, 0, 10)); n != 3 {
		t.Errorf("the log holds %d commits, want 3", n)
	}
}
