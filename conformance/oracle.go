package conformance

import (
	"cmp"
	"maps"
	"slices"

	"github.com/dynconfig/dynconfig/core"
)

// oracle is a store in the plainest words: it remembers the whole state after every commit. It shares no line with
// core.Overlay, so that the two prove each other.
type oracle struct {
	commits []core.Commit
	states  []map[core.Key]core.Entry // by revision
	floor   core.Revision
	history map[core.Key][]core.Record // newest first
}

func newOracle() *oracle {
	return &oracle{states: []map[core.Key]core.Entry{{}}, history: map[core.Key][]core.Record{}}
}

func (o *oracle) head() core.Revision { return core.Revision(len(o.commits)) }

// conflict returns what a transaction meets at a revision: nil if its checks hold.
func (o *oracle) conflict(tx core.Txn, at core.Revision) *core.ConflictError {
	for _, c := range tx.Checks {
		e := o.states[at][c.Key] // the zero entry has version 0 and rules 0
		if c.Version != nil && *c.Version != e.Version || c.Rules != nil && *c.Rules != e.Rules {
			return &core.ConflictError{Key: c.Key, Version: e.Version, Rules: e.Rules, Head: at}
		}
	}
	return nil
}

// commit applies a transaction whose checks hold. meta is what the store made of its Meta.
func (o *oracle) commit(tx core.Txn, meta core.Meta) core.Commit {
	revision := o.head() + 1
	state := maps.Clone(o.states[revision-1])
	c := core.Commit{Revision: revision, Meta: meta}
	ops := slices.SortedFunc(slices.Values(tx.Ops), func(a, b core.Op) int { return cmp.Compare(a.Key, b.Key) })
	for _, op := range ops {
		old, exists := state[op.Key]
		live := exists && !old.Deleted
		next := core.Entry{Key: op.Key, Version: old.Version + 1, Revision: revision, Rules: revision, Modified: meta.Time, Author: meta.Author}
		switch {
		case op.Do == core.OpPut:
			next.Doc = op.Doc
			if live && old.Doc.TTL == op.Doc.TTL && sameRules(old.Doc.ACL, op.Doc.ACL) {
				next.Rules = old.Rules
			}
			state[op.Key] = next
		case op.Do == core.OpDelete && live, op.Do == core.OpPurge && exists:
			next.Deleted = true
			next.Doc = core.Doc{ACL: old.Doc.ACL, Attrs: op.Doc.Attrs}
			state[op.Key] = next
			if op.Do == core.OpPurge {
				delete(state, op.Key)
			}
		default:
			continue
		}
		ch := core.Change{Do: op.Do, Entry: next, Was: core.Was{Exists: exists, Deleted: exists && old.Deleted, ACL: old.Doc.ACL}}
		c.Changes = append(c.Changes, ch)
		o.history[op.Key] = slices.Insert(o.history[op.Key], 0, core.Record{Revision: revision, Meta: meta, Change: ch})
		if op.Do == core.OpPurge {
			delete(o.history, op.Key)
		}
	}
	o.commits = append(o.commits, c)
	o.states = append(o.states, state)
	return c
}

func sameRules(a, b *core.ACL) bool {
	if a == nil || b == nil {
		return a == b
	}
	list := func(x, y []string) bool { return (x == nil) == (y == nil) && slices.Equal(x, y) }
	return list(a.Read, b.Read) && list(a.Write, b.Write) && list(a.Admin, b.Admin)
}

func (o *oracle) compact(upTo core.Revision, keep int) {
	o.floor = upTo
	for key, records := range o.history {
		o.history[key] = kept(records, upTo, keep)
	}
}

// list returns the entries of a query at a revision, whatever its limit, and whether tombstones were left out.
func (o *oracle) list(q core.Query, at core.Revision) (entries []core.Entry, hidden bool) {
	for _, key := range slices.Sorted(maps.Keys(o.states[at])) {
		e := o.states[at][key]
		if key < q.From || q.To != "" && key >= q.To {
			continue
		}
		if e.Deleted && !q.Deleted {
			hidden = true
			continue
		}
		if q.NoValue {
			e.Doc.Value = nil
		}
		entries = append(entries, e)
	}
	return entries, hidden
}
