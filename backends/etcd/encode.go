package etcd

import (
	"encoding/binary"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// The encoding of what lies in etcd: varints, length-prefixed strings, no names of members. Every record begins with a
// byte that is its format, so that a later server can read both.
const (
	format = 1
	// formatHidden leads a history record that History leaves out, but whose content the log or the entry still refers to.
	formatHidden = 2
	// formatOnly leads a history record to which log and entry may refer although it is small.
	formatOnly = 3
)

// inlineMax is how large a value may be to stand in the entry, the log and the history alike. A larger one stands in the
// history record alone, and the others refer to it.
const inlineMax = 4 << 10

// inlineLeast is inlineMax for a batch that would not fit a request otherwise.
const inlineLeast = 64

// inlineAll leaves nothing out.
const inlineAll = math.MaxInt

// inlineACL is the same for the ACL of an entry: higher, since an entry's ACL is read with every page.
const inlineACL = 16 << 10

// How a value or an ACL is written.
const (
	modeNil    = 0
	modeInline = 1
	modeRefer  = 2 // see the history record; an ACL of Was: the same as the entry's
)

// zeroMicros makes the zero time a zero.
var zeroMicros = time.Time{}.UnixMicro()

func appendInt(b []byte, v int64) []byte      { return binary.AppendVarint(b, v) }
func appendCount(b []byte, n int) []byte      { return binary.AppendUvarint(b, uint64(n)) }
func appendTime(b []byte, t time.Time) []byte { return appendInt(b, t.UnixMicro()-zeroMicros) }

func appendString[S ~string | ~[]byte](b []byte, s S) []byte {
	return append(appendCount(b, len(s)), s...)
}

// appendAttrs writes a map in the order of its keys; nil is not empty.
func appendAttrs(b []byte, attrs map[string]string) []byte {
	if attrs == nil {
		return appendCount(b, 0)
	}
	b = appendCount(b, len(attrs)+1)
	for _, k := range slices.Sorted(maps.Keys(attrs)) {
		b = appendString(appendString(b, k), attrs[k])
	}
	return b
}

func appendACL(b []byte, a *core.ACL) []byte {
	if a == nil {
		return append(b, modeNil)
	}
	b = append(b, modeInline)
	for _, list := range [][]string{a.Read, a.Write, a.Admin} {
		if list == nil {
			b = appendCount(b, 0)
			continue
		}
		b = appendCount(b, len(list)+1)
		for _, name := range list {
			b = appendString(b, name)
		}
	}
	return b
}

// appendDoc writes a Doc. A value of more than inline bytes and an ACL that is large are named by their lengths alone.
func appendDoc(b []byte, d core.Doc, inline int) []byte {
	start := len(b)
	b = appendACL(b, d.ACL)
	if size := len(b) - start; inline != inlineAll && size > inlineACL {
		b = appendCount(append(b[:start], modeRefer), size)
	}
	b = appendInt(b, int64(d.TTL))
	b = appendTime(b, d.Expires)
	b = appendAttrs(b, d.Attrs)
	switch {
	case d.Value == nil:
		return append(b, modeNil)
	case len(d.Value) > inline:
		return appendCount(append(b, modeRefer), len(d.Value))
	}
	return appendString(append(b, modeInline), d.Value)
}

// appendEntry writes all of an entry but its key.
func appendEntry(b []byte, e core.Entry, inline int) []byte {
	b = appendBool(b, e.Deleted)
	b = appendInt(b, e.Version)
	b = appendInt(b, int64(e.Revision))
	b = appendInt(b, int64(e.Rules))
	b = appendTime(b, e.Modified)
	b = appendString(b, e.Author)
	return appendDoc(b, e.Doc, inline)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendMeta(b []byte, m core.Meta) []byte {
	b = appendString(b, m.ID)
	b = appendTime(b, m.Time)
	b = appendString(b, m.Author)
	b = appendString(b, m.Note)
	return appendAttrs(b, m.Attrs)
}

// appendChange writes all of a change but its key.
func appendChange(b []byte, c core.Change) []byte {
	b = append(b, byte(c.Do))
	b = appendEntry(b, c.Entry, inlineAll)
	b = appendBool(appendBool(b, c.Was.Exists), c.Was.Deleted)
	if c.Was.ACL != nil && c.Entry.Doc.ACL != nil && c.Was.ACL.Equal(c.Entry.Doc.ACL) {
		return append(b, modeRefer)
	}
	return appendACL(b, c.Was.ACL)
}

// record begins a record of about a size.
func record(size int) []byte { return append(make([]byte, 0, 256+size), format) }

// encodeHead writes the head record: the newest revision, its time, and a number that tells this one from any other.
func encodeHead(head core.Revision, clock time.Time) []byte {
	return binary.BigEndian.AppendUint64(appendTime(appendInt(record(0), int64(head)), clock), rand.Uint64())
}

func encodeFloor(floor core.Revision) []byte { return appendInt([]byte{format}, int64(floor)) }

// encodeEntry writes an entry's record. born is the revision at which the key's versions began: History looks no further
// back, so that purging a key costs no more than deleting its entry.
func encodeEntry(e core.Entry, born core.Revision, inline int) []byte {
	b := appendInt(record(min(len(e.Doc.Value), inline)), int64(born))
	return appendEntry(b, e, inline)
}

// encodeRecord writes a history record, for others that leave out what is larger than inline.
func encodeRecord(m core.Meta, c core.Change, inline int) []byte {
	b := record(len(c.Entry.Doc.Value))
	if inline < inlineMax {
		b[0] = formatOnly
	}
	return appendChange(appendMeta(b, m), c)
}

// encodeBatch writes the log record of a batch of commits with neighbouring revisions. A change of more than inline bytes is
// named by its key alone: the history record of that revision has it. A purge leaves no history and has no value.
func encodeBatch(commits []core.Commit, inline int) []byte {
	b := appendInt(record(256*len(commits)), int64(commits[0].Revision))
	b = appendCount(b, len(commits))
	var change []byte
	for _, c := range commits {
		b = appendMeta(b, c.Meta)
		b = appendCount(b, len(c.Changes))
		for _, ch := range c.Changes {
			b = appendString(b, ch.Entry.Key)
			change = appendChange(change[:0], ch)
			if len(change) > inline && ch.Do != core.OpPurge {
				b = appendCount(append(b, modeRefer), len(change))
			} else {
				b = append(append(b, modeInline), change...)
			}
		}
	}
	return b
}

// encodeIDs writes which commits of a batch had which ID, and when that was on this node's clock.
func encodeIDs(now time.Time, ids []remembered) []byte {
	b := appendTime(record(24*len(ids)), now)
	b = appendCount(b, len(ids))
	for _, id := range ids {
		b = append(appendInt(b, int64(id.revision)), id.digest[:]...)
	}
	return b
}
