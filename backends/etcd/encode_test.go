package etcd

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dynconfig/dynconfig/core"
)

var instant = time.Date(2026, 11, 21, 18, 0, 0, 123456000, time.UTC)

// documents are Docs at the edges of the encoding.
func documents() []core.Doc {
	long := make([]string, 4000)
	for i := range long {
		long[i] = fmt.Sprintf("principal-%d", i)
	}
	return []core.Doc{
		{},
		{Value: []byte{}, ACL: &core.ACL{}, Attrs: map[string]string{}},
		{Value: []byte("x"), ACL: &core.ACL{Read: []string{}, Write: []string{"alice", ""}}, TTL: time.Hour, Expires: instant},
		{Value: make([]byte, inlineMax), Attrs: map[string]string{"b": "2", "a": "1", "": ""}},
		{Value: make([]byte, inlineMax+1), ACL: &core.ACL{Admin: long}},
		{Value: make([]byte, core.MaxValue+core.MaxOverhead)},
	}
}

// batch is a batch of commits that puts, changes, deletes and purges every document.
func batch(t testing.TB) []core.Commit {
	t.Helper()
	o := core.NewOverlay(41, time.Time{}, nil)
	var commits []core.Commit
	for _, do := range []core.OpKind{core.OpPut, core.OpPut, core.OpDelete, core.OpPurge} {
		txn := core.Txn{Meta: core.Meta{ID: fmt.Sprint(do), Time: instant, Author: "élise", Note: "why", Attrs: map[string]string{"k": "v"}}}
		for i, d := range documents() {
			txn.Ops = append(txn.Ops, core.Op{Key: core.Key(fmt.Sprintf("key\x00%d", i)), Do: do, Doc: d})
		}
		c, err := o.Apply(txn)
		if err != nil {
			t.Fatal(err)
		}
		commits = append(commits, c)
	}
	return append(commits, core.Commit{Revision: commits[len(commits)-1].Revision + 1}) // one that changed nothing
}

// sameBytes compares large values quickly, and tells nil from empty.
var sameBytes = cmp.Comparer(func(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) })

func TestABatchComesBackAsItWas(t *testing.T) {
	for _, inline := range []int{inlineMax, inlineLeast} {
		commits := batch(t)
		got, refs, err := decodeBatch(encodeBatch(commits, inline))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range refs {
			c := commits[r.revision-commits[0].Revision]
			i := slices.IndexFunc(c.Changes, func(ch core.Change) bool { return ch.Entry.Key == r.key })
			record, hidden, err := decodeRecord(r.key, r.revision, encodeRecord(c.Meta, c.Changes[i], inline))
			if err != nil || hidden || record.Change.Do == core.OpPurge {
				t.Fatalf("%q at %d: %v, hidden %v", r.key, r.revision, err, hidden)
			}
			r.fill(record.Change)
		}
		if diff := cmp.Diff(commits, got, sameBytes); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if len(refs) == 0 {
			t.Error("large changes stand in the log")
		}
	}
}

func TestAnEntryComesBackAsItWas(t *testing.T) {
	for _, c := range batch(t) {
		for i := range 2 * len(c.Changes) {
			ch, inline := c.Changes[i/2], []int{inlineMax, inlineLeast}[i%2]
			h, err := decodeEntry(ch.Entry.Key, encodeEntry(ch.Entry, 7, inline))
			if err != nil {
				t.Fatal(err)
			}
			if h.large != (large{}) {
				if len(ch.Entry.Doc.Value) <= inline && h.large.acl == 0 {
					t.Errorf("%q: small, and stands elsewhere", ch.Entry.Key)
				}
				for _, r := range h.refs(func() *core.Entry { return &h.Entry }) {
					r.fill(ch)
				}
			}
			if diff := cmp.Diff(ch.Entry, h.Entry, sameBytes); diff != "" || h.born != 7 {
				t.Errorf("born at %d (-want +got)\n%s", h.born, diff)
			}
		}
	}
}

func TestHeadFloorAndIDsComeBackAsTheyWere(t *testing.T) {
	head, clock, err := decodeHead(encodeHead(42, instant))
	if head != 42 || !clock.Equal(instant) || err != nil {
		t.Errorf("head: got %d, %v, %v", head, clock, err)
	}
	if floor, err := decodeFloor(encodeFloor(41)); floor != 41 || err != nil {
		t.Errorf("floor: got %d, %v", floor, err)
	}
	want := []remembered{{digestOf("a"), 3}, {digestOf("b"), 4}}
	if at, got, err := decodeIDs(encodeIDs(instant, want)); !at.Equal(instant) || !slices.Equal(got, want) || err != nil {
		t.Errorf("IDs: got %v, %v, %v", at, got, err)
	}
}

func TestALaterFormatIsRefusedByName(t *testing.T) {
	_, err := decodeEntry("k", []byte{9, 0})
	if !errors.Is(core.KindOf(err), core.ErrInternal) || !strings.Contains(err.Error(), "format 9") {
		t.Errorf("got %v, want an internal error about format 9", err)
	}
}

func TestKeysInEtcdKeepTheOrder(t *testing.T) {
	l := layout{"p/"}
	keys := []core.Key{"\x00", "a", "a\x00", "a.b", "b", "\xff", "\xff\xff"}
	for i, k := range keys {
		if raw := l.entry(k); l.keyOf([]byte(raw)) != k || raw >= l.entriesEnd() || i > 0 && raw <= l.entry(keys[i-1]) {
			t.Errorf("entry of %q: %q", k, raw)
		}
		if newer, older := l.history(k, 300), l.history(k, 2); newer >= older || recordRevision([]byte(newer)) != 300 {
			t.Errorf("history of %q: %q and %q", k, newer, older)
		}
	}
	if l.log(255) >= l.log(256) || l.log(1<<40) >= l.logEnd() || revisionOf([]byte(l.log(1<<40))) != 1<<40 {
		t.Error("log records are out of order")
	}
}

// FuzzDecode feeds every decoder: none may panic, and what one takes, it takes again after encoding.
func FuzzDecode(f *testing.F) {
	put := batch(f)[0]
	small := put
	small.Changes = put.Changes[:3]
	f.Add(encodeBatch([]core.Commit{small, {}}, inlineMax))
	f.Add(encodeRecord(put.Meta, put.Changes[2], inlineMax))
	f.Add(encodeEntry(put.Changes[1].Entry, 3, inlineMax))
	f.Add(encodeHead(42, instant))
	f.Add(encodeIDs(instant, []remembered{{digestOf("a"), 3}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if head, clock, err := decodeHead(b); err == nil {
			if again, _, err := decodeHead(encodeHead(head, clock)); again != head || err != nil {
				t.Errorf("head %d became %d, %v", head, again, err)
			}
		}
		_, _ = decodeFloor(b)
		if h, err := decodeEntry("k", b); err == nil && h.large == (large{}) {
			again, err := decodeEntry("k", encodeEntry(h.Entry, h.born, inlineMax))
			if diff := cmp.Diff(h.Version, again.Version); err != nil || diff != "" {
				t.Errorf("%v %s", err, diff)
			}
		}
		if r, _, err := decodeRecord("k", 1, b); err == nil {
			if _, _, err := decodeRecord("k", 1, encodeRecord(r.Meta, r.Change, inlineMax)); err != nil {
				t.Error(err)
			}
		}
		if commits, refs, err := decodeBatch(b); err == nil && len(commits) > 0 && len(refs) == 0 {
			again, _, err := decodeBatch(encodeBatch(commits, inlineMax))
			if err != nil || len(again) != len(commits) {
				t.Errorf("%d commits became %d, %v", len(commits), len(again), err)
			}
		}
		_, _, _ = decodeIDs(b)
	})
}
