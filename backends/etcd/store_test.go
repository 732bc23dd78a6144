package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

func openAt(t *testing.T, e *services.Etcd, o Options) (*core.Backend, *Store) {
	t.Helper()
	o.Timeout = patient
	b, err := Open(t.Context(), Config{Endpoints: []string{e.Endpoint}, Options: o})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b, b.Store.(*Store)
}

func write(t *testing.T, s core.Store, id string, ops ...core.Op) core.Commit {
	t.Helper()
	c, err := s.Commit(t.Context(), core.Txn{Meta: core.Meta{ID: id}, Ops: ops})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func op(key core.Key, value []byte) core.Op {
	return core.Op{Key: key, Do: core.OpPut, Doc: core.Doc{Value: value}}
}

func epoch(t *testing.T, s core.Store) string {
	t.Helper()
	status, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return status.Epoch
}

// rawKeys counts what lies in etcd by the letter of the layout.
func rawKeys(t *testing.T, s *Store) map[string]int {
	t.Helper()
	r, err := s.client.Get(t.Context(), s.keys.prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, kv := range r.Kvs {
		name, _, _ := strings.Cut(strings.TrimPrefix(string(kv.Key), s.keys.prefix), "/")
		n[name]++
	}
	return n
}

func TestALargeValueOutlivesCompactionForThoseWhoReferToIt(t *testing.T) {
	t.Parallel()
	now := time.Now()
	_, s := openAt(t, services.StartEtcd(t), Options{Now: func() time.Time { return now }})
	first, second := bytes.Repeat([]byte("1"), 1<<20), bytes.Repeat([]byte("2"), 1<<20)
	write(t, s, "one", op("k", first))
	write(t, s, "two", op("k", second))
	if err := s.Compact(t.Context(), 2, 0); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		if h, err := s.History(t.Context(), "k", 0, 10); err != nil || len(h) != 0 {
			t.Errorf("History: got %d records and %v, want none", len(h), err)
		}
		p, err := s.Get(t.Context(), []core.Key{"k"}, 0)
		if err != nil || !bytes.Equal(p.Entries[0].Doc.Value, second) {
			t.Errorf("the present value is gone: %v", err)
		}
	}
	check()
	c := write(t, s, "one", op("k", []byte("again")))
	if c.Revision != 1 || !bytes.Equal(c.Changes[0].Entry.Doc.Value, first) {
		t.Errorf("the repeat of commit 1 is commit %d with %d bytes", c.Revision, len(c.Changes[0].Entry.Doc.Value))
	}
	now = now.Add(core.KeepIDs + 2*idSlack)
	if err := s.Compact(t.Context(), 2, 0); err != nil {
		t.Fatal(err)
	}
	check()
	want := map[string]int{"epoch": 1, "head": 1, "floor": 1, "e": 1, "h": 1}
	if got := rawKeys(t, s); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("after ten minutes etcd holds %v, want %v", got, want)
	}
}

func TestAnIDIsForgottenInTime(t *testing.T) {
	t.Parallel()
	now := time.Now()
	_, s := openAt(t, services.StartEtcd(t), Options{Now: func() time.Time { return now }})
	write(t, s, "id", op("k", []byte("1")))
	now = now.Add(core.KeepIDs - time.Second)
	if c := write(t, s, "id", op("k", []byte("1"))); c.Revision != 1 {
		t.Errorf("a repeat within ten minutes is commit %d, want 1", c.Revision)
	}
	now = now.Add(2 * time.Second)
	if c := write(t, s, "id", op("k", []byte("1"))); c.Revision != 2 {
		t.Errorf("a repeat after ten minutes is commit %d, want 2", c.Revision)
	}
	if n := len(s.writer.ids.byDigest); n != 1 {
		t.Errorf("%d IDs are remembered, want 1", n)
	}
}

func TestPrefixesAreStoresOfTheirOwn(t *testing.T) {
	t.Parallel()
	e := services.StartEtcd(t)
	prefixes := []string{"", "dynconfig-2", "dynconfig/inner", "/team/config/", "other"}
	epochs := map[string]bool{}
	var all []*core.Backend
	var hints []<-chan core.Hint
	for _, p := range prefixes {
		b, s := openAt(t, e, Options{Prefix: p})
		h, err := b.Bus.Listen(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		<-h
		epochs[epoch(t, s)] = true
		all, hints = append(all, b), append(hints, h)
	}
	if len(epochs) != len(prefixes) {
		t.Errorf("%d stores have %d epochs", len(prefixes), len(epochs))
	}
	for i, b := range all {
		key := core.Key(fmt.Sprint(i))
		for n := range i + 1 { // another number of commits in each
			write(t, b.Store, fmt.Sprint("same id ", n), op(key, []byte("1")))
		}
	}
	for i, b := range all {
		key := core.Key(fmt.Sprint(i))
		if p, err := b.Store.List(t.Context(), core.Query{}); err != nil || len(p.Entries) != 1 || p.Entries[0].Key != key {
			t.Errorf("prefix %q holds %+v, %v, want %q alone", prefixes[i], p.Entries, err, key)
		}
		if log, err := b.Store.Log(t.Context(), 0, 0); err != nil || len(log) != i+1 {
			t.Errorf("prefix %q has %d commits, %v, want %d", prefixes[i], len(log), err, i+1)
		}
		for n := range i + 1 {
			if h := <-hints[i]; h.Head != core.Revision(n+1) || h.Commit.Changes[0].Entry.Key != key {
				t.Errorf("prefix %q hears of %+v", prefixes[i], h)
			}
		}
		if err := b.Store.Compact(t.Context(), 1, 0); err != nil {
			t.Error(err)
		}
	}
}

func TestAnOperatorWhoCompactsEtcdBreaksNothing(t *testing.T) {
	t.Parallel()
	b, s := openAt(t, services.StartEtcd(t), Options{})
	hints, err := b.Bus.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if h := <-hints; h.Head != 0 {
		t.Errorf("the first hint is of head %d, want 0", h.Head)
	}
	ctx, stop := context.WithCancel(t.Context())
	var operator sync.WaitGroup
	operator.Go(func() {
		for ctx.Err() == nil {
			if r, err := s.client.Get(ctx, "any"); err == nil {
				_, _ = s.client.Compact(ctx, r.Header.Revision) // says when there is nothing to compact
			}
		}
	})
	for i := range 60 {
		c := write(t, s, fmt.Sprint(i), op(core.Key(fmt.Sprint(i%10)), make([]byte, 3*inlineMax)))
		if h := <-hints; h.Head != c.Revision {
			t.Fatalf("the hint of commit %d is of head %d", c.Revision, h.Head)
		}
		if p, err := s.List(t.Context(), core.Query{}); err != nil || len(p.Entries) != min(i+1, 10) {
			t.Fatalf("List: got %d entries and %v", len(p.Entries), err)
		}
		if log, err := s.Log(t.Context(), 0, 0); err != nil || len(log) != i+1 {
			t.Fatalf("Log: got %d commits and %v, want %d", len(log), err, i+1)
		}
	}
	stop()
	operator.Wait()
}

func TestNodesThatWriteAtOnceAllGetTheirTurn(t *testing.T) {
	t.Parallel()
	const nodes, each = 3, 50
	e := services.StartEtcd(t)
	var all sync.WaitGroup
	for n := range nodes {
		_, s := openAt(t, e, Options{})
		all.Go(func() {
			for i := range each {
				_, err := s.Commit(t.Context(), core.Txn{Meta: core.Meta{ID: fmt.Sprintf("%d/%d", n, i)}, Ops: []core.Op{op("k", []byte("1"))}})
				if err != nil {
					t.Errorf("node %d: %v", n, err)
				}
			}
		})
	}
	all.Wait()
	_, s := openAt(t, e, Options{})
	p, err := s.Get(t.Context(), []core.Key{"k"}, nodes*each)
	if err != nil || p.Entries[0].Version != nodes*each {
		t.Errorf("got %+v and %v, want version %d", p, err, nodes*each)
	}
}

func TestABatchThatIsTooLargeInCompanyIsCommittedInParts(t *testing.T) {
	t.Parallel()
	_, s := openAt(t, services.StartEtcd(t), Options{})
	var txns []core.Txn
	for i := range 4 {
		txns = append(txns, core.Txn{Ops: []core.Op{op(core.Key(fmt.Sprint(i)), make([]byte, 1<<20))}})
	}
	for i, a := range s.writer.batch(t.Context(), txns) {
		if a.Err != nil || a.Commit.Revision != core.Revision(i+1) {
			t.Errorf("transaction %d: commit %d, %v", i, a.Commit.Revision, a.Err)
		}
	}
}

func TestAServerThatIsAwayIsUnavailable(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := Open(ctx, Config{Endpoints: []string{"unix://" + t.TempDir() + "/none"}})
	if !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
}
