package redis

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// decoder reads what encode.go wrote. What comes from Redis may be anything: the first fault sticks, everything read after
// it is zero, and no count is believed that the bytes left cannot hold.
type decoder struct {
	b    []byte
	fail bool
}

var errForeign = errors.New("not a message of this version of dynconfig")

// end returns an error if there was a fault, or if something is left over.
func (d *decoder) end() error {
	if d.fail || len(d.b) > 0 {
		return errForeign
	}
	return nil
}

func (d *decoder) take(n int) []byte {
	if n > len(d.b) {
		d.fail, d.b = true, nil
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) bool() bool { return d.byte() == present }

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads how many things follow, each of which takes a byte at least.
func (d *decoder) count() int {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > uint64(len(d.b)) {
		d.fail, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return int(v)
}

func (d *decoder) string() string          { return string(d.take(d.count())) }
func (d *decoder) revision() core.Revision { return core.Revision(d.int()) }
func (d *decoder) time() time.Time         { return time.UnixMicro(d.int() + zeroMicros).UTC() }

func (d *decoder) attrs() map[string]string {
	n := d.count()
	if n == 0 {
		return nil
	}
	m := make(map[string]string)
	for range n {
		k := d.string()
		m[k] = d.string()
		if d.fail {
			return nil
		}
	}
	return m
}

func (d *decoder) names() []string {
	n := d.count()
	if n == 0 {
		return nil
	}
	list := make([]string, 0, min(n-1, len(d.b)))
	for range n - 1 {
		list = append(list, d.string())
		if d.fail {
			return nil
		}
	}
	return list
}

func (d *decoder) acl(own *core.ACL) *core.ACL {
	switch d.byte() {
	case present:
		return &core.ACL{Read: d.names(), Write: d.names(), Admin: d.names()}
	case same:
		return own
	}
	return nil
}

func (d *decoder) entry() (e core.Entry) {
	e.Key = core.Key(d.string())
	e.Deleted = d.bool()
	e.Version = d.int()
	e.Revision = d.revision()
	e.Rules = d.revision()
	e.Modified = d.time()
	e.Author = d.string()
	e.Doc.ACL = d.acl(nil)
	e.Doc.TTL = time.Duration(d.int())
	e.Doc.Expires = d.time()
	e.Doc.Attrs = d.attrs()
	if d.bool() {
		e.Doc.Value = append([]byte{}, d.take(d.count())...)
	}
	return e
}

func (d *decoder) change() (c core.Change) {
	c.Do = core.OpKind(d.byte())
	c.Entry = d.entry()
	c.Was = core.Was{Exists: d.bool(), Deleted: d.bool()}
	c.Was.ACL = d.acl(c.Entry.Doc.ACL)
	return c
}

func decodeEntry(b []byte) (epoch string, e core.Entry, err error) {
	d := &decoder{b: b}
	d.fail = d.byte() != formatEntry
	epoch, e = d.string(), d.entry()
	return epoch, e, d.end()
}

// decodeHint reads a hint that another node than this one sent; a hint of its own is of head 0 and no error.
func decodeHint(b []byte, this string) (core.Hint, error) {
	d := &decoder{b: b}
	format := d.byte()
	if node := d.take(nodeBytes); string(node) == this {
		return core.Hint{}, nil
	}
	h := core.Hint{Head: d.revision()}
	switch format {
	case formatHead:
		return h, d.end()
	case formatHint:
	default:
		return core.Hint{}, errForeign
	}
	c := &core.Commit{Revision: h.Head}
	c.Meta = core.Meta{ID: d.string(), Time: d.time(), Author: d.string(), Note: d.string(), Attrs: d.attrs()}
	n := d.count()
	for range n {
		c.Changes = append(c.Changes, d.change())
		if d.fail {
			break
		}
	}
	h.Commit = c
	return h, d.end()
}
