package redis

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dynconfig/dynconfig/core"
)

const (
	thisNode  = "AAAAAAAAAAAA"
	otherNode = "BBBBBBBBBBBB"
)

// entries are of every shape that an entry has.
func entries() []core.Entry {
	at := time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC)
	acl := &core.ACL{Read: []string{}, Write: []string{"ann", "team-*"}}
	return []core.Entry{
		{},
		{Key: "a", Version: 1, Revision: 2, Rules: 2, Modified: at, Author: "ann", Doc: core.Doc{Value: []byte(`"x"`)}},
		{Key: "é\x00/%", Version: 1 << 40, Revision: 1 << 50, Rules: 7, Modified: at, Author: "", Doc: core.Doc{
			Value: []byte{}, ACL: acl, TTL: time.Hour, Expires: at.Add(time.Hour), Attrs: map[string]string{"a": "b", "": "c"},
		}},
		{Key: "gone", Deleted: true, Version: 3, Revision: 9, Rules: 9, Modified: at, Doc: core.Doc{ACL: &core.ACL{}}},
	}
}

func commitOf(entries ...core.Entry) core.Commit {
	c := core.Commit{Revision: 42, Meta: core.Meta{ID: "id", Time: time.Unix(1, 0).UTC(), Author: "ann", Note: "why", Attrs: map[string]string{"k": "v"}}}
	for i, e := range entries {
		was := core.Was{Exists: i%2 == 0, Deleted: i%3 == 0, ACL: e.Doc.ACL}
		if i == 1 {
			was.ACL = &core.ACL{Admin: []string{"bob"}}
		}
		c.Changes = append(c.Changes, core.Change{Do: core.OpKind(i%3 + 1), Entry: e, Was: was})
	}
	return c
}

func TestAnEntryComesBackAsItWas(t *testing.T) {
	for _, want := range entries() {
		epoch, got, err := decodeEntry(encodeEntry("epoch", &want))
		if diff := cmp.Diff(want, got); err != nil || epoch != "epoch" || diff != "" {
			t.Errorf("epoch %q, %v (-want +got):\n%s", epoch, err, diff)
		}
	}
}

func TestAHintCarriesItsCommitWhileThatIsSmall(t *testing.T) {
	for _, size := range []int{0, 1000, hintBytes - 1000, hintBytes, 3 * hintBytes} {
		want := commitOf(append(entries(), core.Entry{Key: "large", Doc: core.Doc{Value: bytes.Repeat([]byte("v"), size)}})...)
		b := encodeHint(otherNode, &want, hintBytes)
		if len(b) > hintBytes {
			t.Errorf("the hint of a commit with a value of %d bytes has %d, want at most %d", size, len(b), hintBytes)
		}
		got, err := decodeHint(b, thisNode)
		if err != nil || got.Head != want.Revision {
			t.Fatalf("a value of %d bytes: got head %d, %v, want %d", size, got.Head, err, want.Revision)
		}
		if size >= hintBytes {
			if got.Commit != nil {
				t.Errorf("a commit with a value of %d bytes goes with its hint", size)
			}
		} else if diff := cmp.Diff(&want, got.Commit); diff != "" {
			t.Errorf("a value of %d bytes (-want +got):\n%s", size, diff)
		}
	}
}

func TestANodeDoesNotHearItself(t *testing.T) {
	c := commitOf(entries()...)
	if h, err := decodeHint(encodeHint(thisNode, &c, hintBytes), thisNode); h.Head != 0 || h.Commit != nil || err != nil {
		t.Errorf("got %+v, %v", h, err)
	}
}

func TestWhatIsCutShortOrOfAnotherFormatIsRefused(t *testing.T) {
	c := commitOf(entries()...)
	hint, entry := encodeHint(otherNode, &c, hintBytes), encodeEntry("epoch", &entries()[2])
	for i := range len(hint) {
		if h, err := decodeHint(hint[:i], thisNode); err == nil {
			t.Errorf("the first %d of %d bytes are read as %+v", i, len(hint), h)
		}
	}
	for i := range len(entry) {
		if _, e, err := decodeEntry(entry[:i]); err == nil {
			t.Errorf("the first %d of %d bytes are read as %+v", i, len(entry), e)
		}
	}
	for _, b := range [][]byte{append([]byte{99}, hint[1:]...), append([]byte{99}, entry[1:]...), append(bytes.Clone(hint), 0), append(bytes.Clone(entry), 0)} {
		_, err := decodeHint(b, thisNode)
		_, _, other := decodeEntry(b)
		if err == nil || other == nil {
			t.Errorf("%q is read", b)
		}
	}
}

func TestNamesInRedisTellPartsApart(t *testing.T) {
	seen := map[string]string{}
	for _, parts := range [][]string{{"a", "b"}, {"ab", ""}, {"", "ab"}, {"ab"}, {"a\x01b"}, {}} {
		n, said := name(parts...), strings.Join(parts, "|")
		if before, twice := seen[n]; twice {
			t.Errorf("%q and %q have one name", before, said)
		}
		seen[n] = said
	}
}

// FuzzDecodeHint feeds what anybody might publish: it is refused, or is what its own encoding says.
func FuzzDecodeHint(f *testing.F) {
	c := commitOf(entries()...)
	f.Add(encodeHint(otherNode, &c, hintBytes))
	f.Add(encodeHint(otherNode, &c, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHint(b, thisNode)
		if err != nil || h.Commit == nil {
			return
		}
		again, err := decodeHint(encodeHint(otherNode, h.Commit, 1<<30), thisNode)
		if diff := cmp.Diff(h, again); err != nil || diff != "" {
			t.Errorf("read again: %v\n%s", err, diff)
		}
	})
}

// FuzzDecodeEntry is the same for what might lie in the cache.
func FuzzDecodeEntry(f *testing.F) {
	for _, e := range entries() {
		f.Add(encodeEntry("epoch", &e))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		epoch, e, err := decodeEntry(b)
		if err != nil {
			return
		}
		againEpoch, again, err := decodeEntry(encodeEntry(epoch, &e))
		if diff := cmp.Diff(e, again); err != nil || againEpoch != epoch || diff != "" {
			t.Errorf("read again: %v\n%s", err, diff)
		}
	})
}
