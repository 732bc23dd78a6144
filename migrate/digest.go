package migrate

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// Digest stands for all that a store holds, but for what is another's in every store: revisions and the IDs of commits.
// Equal digests mean equal entries, tombstones, versions and histories.
type Digest struct {
	SHA256  string // in hex
	Entries int64  // tombstones among them
	Deleted int64
	Changes int64 // in the histories of all entries
}

// digest reads a store through, and tells how many entries it has read. It is the SHA-256 of the SHA-256 of each key, in
// the order of keys.
func digest(ctx context.Context, s core.Store, tell func(entries int64)) (d Digest, err error) {
	whole := sha256.New()
	for page, err := range pages(ctx, s, core.Query{Deleted: true}) {
		if err != nil {
			return d, err
		}
		sums := make([][]byte, len(page))
		var changes atomic.Int64
		err := each(ctx, len(page), func(ctx context.Context, i int) error {
			sum, n, err := keyDigest(ctx, s, page[i])
			sums[i] = sum
			changes.Add(n)
			return err
		})
		if err != nil {
			return d, err
		}
		for i, sum := range sums {
			whole.Write(sum)
			if page[i].Deleted {
				d.Deleted++
			}
		}
		d.Entries += int64(len(page))
		d.Changes += changes.Load()
		tell(d.Entries)
	}
	d.SHA256 = hex.EncodeToString(whole.Sum(nil))
	return d, nil
}

// keyDigest is the digest of an entry and its history. Where no record is kept, what the entry tells of its last change
// counts as one, which is what a copy has.
func keyDigest(ctx context.Context, s core.Store, e core.Entry) (sum []byte, changes int64, err error) {
	c := canon{sha256.New()}
	c.entry(e)
	for r, err := range history(ctx, s, e.Key, 0) {
		if err != nil {
			return nil, 0, err
		}
		c.record(r)
		changes++
	}
	if changes == 0 {
		c.record(bareRecord(e))
		changes++
	}
	return c.h.Sum(nil), changes, nil
}

// canon writes values in the one form that they have: integers in eight bytes, everything else after its length.
type canon struct{ h hash.Hash }

func (c canon) int(v int64) {
	_, _ = c.h.Write(binary.BigEndian.AppendUint64(nil, uint64(v)))
}

func (c canon) text(s string) {
	c.int(int64(len(s)))
	_, _ = c.h.Write([]byte(s))
}

func (c canon) bool(b bool) {
	if b {
		c.int(1)
	} else {
		c.int(0)
	}
}

func (c canon) time(t time.Time) { c.int(t.UnixMicro()) }

func (c canon) attrs(m map[string]string) {
	c.int(int64(len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		c.text(k)
		c.text(m[k])
	}
}

// names writes a list of an ACL; one that is not set is not an empty one.
func (c canon) names(list []string) {
	c.bool(list != nil)
	c.int(int64(len(list)))
	for _, name := range list {
		c.text(name)
	}
}

func (c canon) entry(e core.Entry) {
	c.text(string(e.Key))
	c.int(e.Version)
	c.bool(e.Deleted)
	c.time(e.Modified)
	c.text(e.Author)
	c.int(int64(len(e.Doc.Value)))
	_, _ = c.h.Write(e.Doc.Value)
	c.bool(e.Doc.ACL != nil)
	if a := e.Doc.ACL; a != nil {
		c.names(a.Read)
		c.names(a.Write)
		c.names(a.Admin)
	}
	c.int(int64(e.Doc.TTL))
	c.time(e.Doc.Expires)
	c.attrs(e.Doc.Attrs)
}

func (c canon) record(r core.Record) {
	c.int(int64(r.Change.Do))
	c.entry(r.Change.Entry)
	c.time(r.Meta.Time)
	c.text(r.Meta.Author)
	c.text(r.Meta.Note)
	c.attrs(r.Meta.Attrs)
}
