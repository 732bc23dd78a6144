package etcd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// decoder reads what encode.go wrote. The first fault sticks, and everything read after it is zero.
type decoder struct {
	b   []byte
	err error
}

var errTruncated = errors.New("record is cut short or not one of ours")

func (d *decoder) fail() {
	if d.err == nil {
		d.err = errTruncated
	}
	d.b = nil
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) bool() bool { return d.byte() == 1 }

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads how many things follow, each of which takes a byte at least.
func (d *decoder) count() int {
	v := d.uint()
	if v > uint64(len(d.b))+1 {
		d.fail()
		return 0
	}
	return int(v)
}

func (d *decoder) bytes(n int) []byte {
	if n > len(d.b) {
		d.fail()
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) string() string          { return string(d.bytes(d.count())) }
func (d *decoder) revision() core.Revision { return core.Revision(d.int()) }
func (d *decoder) time() time.Time         { return time.UnixMicro(d.int() + zeroMicros).UTC() }
func (d *decoder) format(want ...byte) byte { // of the record
	got := d.byte()
	if d.err == nil && !bytes.Contains(want, []byte{got}) {
		d.err = fmt.Errorf("record is of format %d, which this version does not know", got)
		d.b = nil
	}
	return got
}

// end reports the first fault, or that something is left over.
func (d *decoder) end() error {
	if d.err == nil && len(d.b) > 0 {
		d.fail()
	}
	if d.err != nil {
		return core.Errorf(core.ErrInternal, "Stored data cannot be read").Because(d.err)
	}
	return nil
}

func (d *decoder) attrs() map[string]string {
	n := d.count()
	if n == 0 {
		return nil
	}
	m := make(map[string]string, n-1)
	for range n - 1 {
		k := d.string()
		m[k] = d.string()
	}
	return m
}

// acl reads an ACL; large is how long it is if it stands elsewhere.
func (d *decoder) acl() (acl *core.ACL, large int) {
	switch d.byte() {
	case modeInline:
		return &core.ACL{Read: d.names(), Write: d.names(), Admin: d.names()}, 0
	case modeRefer:
		return nil, d.size()
	}
	return nil, 0
}

// size reads the size of something that stands elsewhere.
func (d *decoder) size() int { return int(min(d.uint(), 1<<30)) }

func (d *decoder) names() []string {
	n := d.count()
	if n == 0 {
		return nil
	}
	list := make([]string, n-1)
	for i := range list {
		list[i] = d.string()
	}
	return list
}

// doc reads a Doc; large tells what of it stands in the history record.
func (d *decoder) doc() (doc core.Doc, large large) {
	doc.ACL, large.acl = d.acl()
	doc.TTL = time.Duration(d.int())
	doc.Expires = d.time()
	doc.Attrs = d.attrs()
	switch d.byte() {
	case modeInline:
		doc.Value = d.value()
	case modeRefer:
		large.value = d.size()
	}
	return doc, large
}

// value copies a small value, so that keeping it does not keep the whole record.
func (d *decoder) value() []byte {
	v := d.bytes(d.count())
	if len(v) <= inlineMax {
		return append([]byte{}, v...)
	}
	return v
}

func (d *decoder) entry(key core.Key) (e core.Entry, large large) {
	e.Key = key
	e.Deleted = d.bool()
	e.Version = d.int()
	e.Revision = d.revision()
	e.Rules = d.revision()
	e.Modified = d.time()
	e.Author = d.string()
	e.Doc, large = d.doc()
	return e, large
}

func (d *decoder) meta() core.Meta {
	return core.Meta{ID: d.string(), Time: d.time(), Author: d.string(), Note: d.string(), Attrs: d.attrs()}
}

func (d *decoder) change(key core.Key) core.Change {
	c := core.Change{Do: core.OpKind(d.byte())}
	c.Entry, _ = d.entry(key)
	c.Was.Exists, c.Was.Deleted = d.bool(), d.bool()
	if len(d.b) > 0 && d.b[0] == modeRefer {
		d.byte()
		c.Was.ACL = c.Entry.Doc.ACL
	} else {
		c.Was.ACL, _ = d.acl()
	}
	return c
}

func decodeHead(b []byte) (head core.Revision, clock time.Time, err error) {
	d := &decoder{b: b}
	d.format(format)
	head, clock = d.revision(), d.time()
	if len(d.b) > 0 { // the first stores had no number here
		d.bytes(8)
	}
	return head, clock, d.end()
}

func decodeFloor(b []byte) (core.Revision, error) {
	d := &decoder{b: b}
	d.format(format)
	floor := d.revision()
	return floor, d.end()
}

// held is an entry as its record has it, without what is large.
type held struct {
	core.Entry
	born  core.Revision
	large large
}

// large is how many bytes of an entry stand in the history record of its revision; 0: none.
type large struct{ value, acl int }

func decodeEntry(key core.Key, b []byte) (held, error) {
	d := &decoder{b: b}
	d.format(format)
	h := held{born: d.revision()}
	h.Entry, h.large = d.entry(key)
	return h, d.end()
}

func decodeRecord(key core.Key, revision core.Revision, b []byte) (r core.Record, hidden bool, err error) {
	d := &decoder{b: b}
	hidden = d.format(format, formatHidden, formatOnly) == formatHidden
	r = core.Record{Revision: revision, Meta: d.meta(), Change: d.change(key)}
	return r, hidden, d.end()
}

// ref is content that stands in a history record alone. fill puts it where it belongs.
type ref struct {
	key      core.Key
	revision core.Revision
	size     int // about
	fill     func(core.Change)
}

// decodeBatch reads a log record. What refs name is still to be filled in.
func decodeBatch(b []byte) (commits []core.Commit, refs []ref, err error) {
	d := &decoder{b: b}
	d.format(format)
	first := d.revision()
	commits = make([]core.Commit, d.count())
	for i := range commits {
		c := &commits[i]
		c.Revision = first + core.Revision(i)
		c.Meta = d.meta()
		if n := d.count(); n > 0 {
			c.Changes = make([]core.Change, n)
		}
		for j := range c.Changes {
			key := core.Key(d.string())
			if d.byte() != modeRefer {
				c.Changes[j] = d.change(key)
				continue
			}
			refs = append(refs, ref{
				key: key, revision: c.Revision, size: d.size(),
				fill: func(found core.Change) { c.Changes[j] = found },
			})
		}
	}
	return commits, refs, d.end()
}

func decodeIDs(b []byte) (at time.Time, ids []remembered, err error) {
	d := &decoder{b: b}
	d.format(format)
	at = d.time()
	ids = make([]remembered, d.count())
	for i := range ids {
		ids[i].revision = d.revision()
		copy(ids[i].digest[:], d.bytes(len(ids[i].digest)))
	}
	return at, ids, d.end()
}
