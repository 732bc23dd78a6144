package redis

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// The encoding of what goes through Redis: a byte that is its format, then varints and length-prefixed strings. A node that
// does not know a format passes it over, so that nodes of two versions can share a Redis.
const (
	formatEntry = 1
	formatHint  = 2
	formatHead  = 3 // a hint without its commit
)

// What stands before an ACL or a value that may be nil.
const (
	absent  = 0
	present = 1
	same    = 2 // an ACL of Was: the entry's own
)

// zeroMicros makes the zero time a zero.
var zeroMicros = time.Time{}.UnixMicro()

func appendInt(b []byte, v int64) []byte      { return binary.AppendVarint(b, v) }
func appendCount(b []byte, n int) []byte      { return binary.AppendUvarint(b, uint64(n)) }
func appendTime(b []byte, t time.Time) []byte { return appendInt(b, t.UnixMicro()-zeroMicros) }

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, present)
	}
	return append(b, absent)
}

func appendString[S ~string | ~[]byte](b []byte, s S) []byte {
	return append(appendCount(b, len(s)), s...)
}

// appendAttrs writes a map in the order of its keys.
func appendAttrs(b []byte, attrs map[string]string) []byte {
	b = appendCount(b, len(attrs))
	for _, k := range slices.Sorted(maps.Keys(attrs)) {
		b = appendString(appendString(b, k), attrs[k])
	}
	return b
}

// appendACL writes lists with one added to their length: nil is not empty.
func appendACL(b []byte, a *core.ACL) []byte {
	if a == nil {
		return append(b, absent)
	}
	b = append(b, present)
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

func appendEntry(b []byte, e *core.Entry) []byte {
	b = appendString(b, e.Key)
	b = appendBool(b, e.Deleted)
	b = appendInt(b, e.Version)
	b = appendInt(b, int64(e.Revision))
	b = appendInt(b, int64(e.Rules))
	b = appendTime(b, e.Modified)
	b = appendString(b, e.Author)
	b = appendACL(b, e.Doc.ACL)
	b = appendInt(b, int64(e.Doc.TTL))
	b = appendTime(b, e.Doc.Expires)
	b = appendAttrs(b, e.Doc.Attrs)
	if e.Doc.Value == nil {
		return append(b, absent)
	}
	return appendString(append(b, present), e.Doc.Value)
}

func appendChange(b []byte, c *core.Change) []byte {
	b = append(b, byte(c.Do))
	b = appendEntry(b, &c.Entry)
	b = appendBool(appendBool(b, c.Was.Exists), c.Was.Deleted)
	if c.Was.ACL != nil && c.Entry.Doc.ACL != nil && c.Was.ACL.Equal(c.Entry.Doc.ACL) {
		return append(b, same)
	}
	return appendACL(b, c.Was.ACL)
}

// encodeEntry writes an entry as the cache keeps it, with the epoch that it is of.
func encodeEntry(epoch string, e *core.Entry) []byte {
	b := make([]byte, 0, len(e.Doc.Value)+256)
	return appendEntry(appendString(append(b, formatEntry), epoch), e)
}

// encodeHint writes what node tells of a commit. One of more than most bytes is only named.
func encodeHint(node string, c *core.Commit, most int) []byte {
	size := 256
	for i := range c.Changes {
		size += len(c.Changes[i].Entry.Doc.Value) + len(c.Changes[i].Entry.Key) + 128
	}
	if size < 2*most {
		b := append(append(make([]byte, 0, size), formatHint), node...)
		b = appendInt(b, int64(c.Revision))
		b = appendString(b, c.Meta.ID)
		b = appendTime(b, c.Meta.Time)
		b = appendString(b, c.Meta.Author)
		b = appendString(b, c.Meta.Note)
		b = appendAttrs(b, c.Meta.Attrs)
		b = appendCount(b, len(c.Changes))
		for i := range c.Changes {
			b = appendChange(b, &c.Changes[i])
		}
		if len(b) <= most {
			return b
		}
	}
	return appendInt(append([]byte{formatHead}, node...), int64(c.Revision))
}
