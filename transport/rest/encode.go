package rest

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// Answers with values are put together by hand, as wire.Item spells them: encoding/json would rewrite a value (compact it
// and escape <, > and &), and it must come back byte for byte.

// appendString appends text that needs no escaping: a name, a revision, a cursor.
func appendString(b []byte, member, text string) []byte {
	b = append(b, member...)
	return append(append(append(b, '"'), text...), '"')
}

func appendTime(b []byte, member string, t time.Time) []byte {
	b = append(append(b, member...), '"')
	return append(t.UTC().AppendFormat(b, time.RFC3339Nano), '"')
}

// appendItem appends {"key","value","version"}, left open for what metadata adds.
func appendItem(b []byte, it core.Item) []byte {
	b = appendString(b, `{"key":`, it.Name)
	b = append(append(b, `,"value":`...), it.Entry.Doc.Value...)
	return strconv.AppendInt(append(b, `,"version":`...), it.Entry.Version, 10)
}

func itemJSON(it core.Item) []byte {
	b := make([]byte, 0, len(it.Name)+len(it.Entry.Doc.Value)+64)
	return append(appendItem(b, it), '}')
}

func itemWithMetadata(it core.Item, epoch string) []byte {
	e := it.Entry
	b := appendItem(nil, it)
	if e.Doc.TTL > 0 {
		b = strconv.AppendInt(append(b, `,"ttl":`...), int64(e.Doc.TTL/time.Second), 10)
	}
	if !e.Doc.Expires.IsZero() {
		b = appendTime(b, `,"expiresAt":`, e.Doc.Expires)
	}
	b = appendTime(b, `,"lastModified":`, e.Modified)
	b = append(append(b, `,"lastModifiedBy":`...), marshal(e.Author)...)
	b = appendString(b, `,"revision":`, core.Position{Epoch: epoch, Revision: e.Revision}.String())
	if it.Admin {
		b = append(append(b, `,"acls":`...), marshal(aclOf(e.Doc.ACL))...)
	}
	return append(b, '}')
}

func writtenJSON(member string, w core.Written) []byte {
	b := appendString(make([]byte, 0, len(w.Name)+96), `{"`+member+`":`, w.Name)
	b = strconv.AppendInt(append(b, `,"version":`...), w.Version, 10)
	return append(appendTime(b, `,"lastModified":`, w.Modified), '}')
}

func appendNames(b []byte, names []string) []byte {
	b = append(b, '[')
	for i, n := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, "", n)
	}
	return append(b, ']')
}

// listJSON spells wire.Listing or wire.Namespaces.
func listJSON(member string, l core.Listing, cursor string, items bool) []byte {
	size := 128
	for _, n := range l.Names {
		size += len(n) + 3
	}
	for _, it := range l.Items {
		size += len(it.Name) + len(it.Entry.Doc.Value) + 64
	}
	b := append(make([]byte, 0, size), `{"`+member+`":`...)
	b = appendNames(b, l.Names)
	b = strconv.AppendInt(append(b, `,"total":`...), int64(l.Total), 10)
	if l.LowerBound {
		b = append(b, `,"totalIsLowerBound":true`...)
	}
	if cursor != "" {
		b = appendString(b, `,"nextCursor":`, cursor)
	}
	b = appendString(b, `,"revision":`, l.Position.String())
	if items {
		b = append(b, `,"items":[`...)
		for i, it := range l.Items {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendItem(b, it), '}')
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// aclOf is an ACL as it was sent; {} where there is none.
func aclOf(a *core.ACL) wire.ACL {
	if a == nil {
		return wire.ACL{}
	}
	return wire.ACL{Read: a.Read, Write: a.Write, Admin: a.Admin}
}

// marshal is for what cannot fail: strings, numbers, and structs of them.
func marshal(v any) []byte {
	b, _ := json.Marshal(v)
	return b
}
