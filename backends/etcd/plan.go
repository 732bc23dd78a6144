package etcd

import (
	"maps"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dynconfig/dynconfig/core"
)

// plan is what a batch comes to.
type plan struct {
	overlay *core.Overlay
	before  map[core.Key]held
	commits []core.Commit
	ids     []remembered
	after   []held // of every changed key; version 0 if it is gone
}

// ops returns the puts and deletes that write the plan, the head first, and fills in after. What is of more than inline
// bytes stands in the history record alone.
func (p *plan) ops(l layout, now time.Time, inline int) []clientv3.Op {
	p.after = p.after[:0]
	head, clock := p.overlay.Head()
	ops := []clientv3.Op{
		put(l.head(), encodeHead(head, clock)),
		put(l.log(head), encodeBatch(p.commits, inline)),
	}
	if len(p.ids) > 0 {
		ops = append(ops, put(l.ids(head), encodeIDs(now, p.ids)))
	}
	born := map[core.Key]core.Revision{}
	for _, c := range p.commits {
		for _, ch := range c.Changes {
			k := ch.Entry.Key
			if !ch.Was.Exists {
				born[k] = c.Revision
			}
			if ch.Do != core.OpPurge {
				ops = append(ops, put(l.history(k, c.Revision), encodeRecord(c.Meta, ch, inline)))
			}
		}
	}
	present, gone := p.overlay.Entries()
	for _, e := range present {
		h := held{Entry: e, born: p.before[e.Key].born}
		if b, ok := born[e.Key]; ok {
			h.born = b
		}
		p.after = append(p.after, h.own(p.before[e.Key]))
		ops = append(ops, put(l.entry(e.Key), encodeEntry(e, h.born, inline)))
	}
	for _, k := range gone {
		p.after = append(p.after, held{Entry: core.Entry{Key: k}})
		ops = append(ops, clientv3.OpDelete(l.entry(k)))
	}
	return ops
}

// own returns h without a value and without anything that is the caller's: the ACL of before if it is the same.
func (h held) own(before held) held {
	h.Doc.Value, h.Doc.Attrs = nil, maps.Clone(h.Doc.Attrs)
	switch acl := h.Doc.ACL; {
	case acl == nil:
	case before.Doc.ACL != nil && acl.Equal(before.Doc.ACL):
		h.Doc.ACL = before.Doc.ACL
	default:
		h.Doc.ACL = &core.ACL{Read: slices.Clone(acl.Read), Write: slices.Clone(acl.Write), Admin: slices.Clone(acl.Admin)}
	}
	return h
}

func put(key string, value []byte) clientv3.Op { return clientv3.OpPut(key, string(value)) }
