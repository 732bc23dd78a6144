package migrate

import (
	"slices"

	"github.com/dynconfig/dynconfig/core"
)

// commit is a commit of the source, or a part of one.
type commit struct {
	revision core.Revision
	first    int // of the commit's changes this is the first here
	meta     core.Meta
	changes  []core.Change
	nothing  bool // it is in the target already
}

// from returns the part of c that begins with its nth change.
func (c commit) from(n int) commit {
	c.first, c.changes = c.first+n, c.changes[n:]
	return c
}

// split cuts c into its first n changes and the others.
func (c commit) split(n int) (head, tail commit) {
	head = c
	head.changes = c.changes[:n:n]
	return head, c.from(n)
}

// fits returns how many of c's changes fit one transaction, at least one if there is one.
func (c commit) fits(l core.Limits) int {
	bytes := 0
	for i, ch := range c.changes {
		bytes += max(0, len(ch.Entry.Doc.Value)-core.MaxOverhead)
		if i > 0 && (i == l.MaxOps || bytes > l.MaxBytes) {
			return i
		}
	}
	return len(c.changes)
}

// size is about how many bytes c takes.
func (c commit) size() int {
	n := 256 + len(c.meta.Note)
	for _, ch := range c.changes {
		n += 256 + len(ch.Entry.Key) + len(ch.Entry.Doc.Value)
	}
	return n
}

func (c commit) purges() bool {
	return slices.ContainsFunc(c.changes, func(ch core.Change) bool { return ch.Do == core.OpPurge })
}

// proof is a Check that holds once c is in the target; nil if there is none. It does not hold before, as long as versions
// only grow: until something is purged.
func (c commit) proof() *core.Check {
	for i := range c.changes {
		if ch := &c.changes[i]; ch.Do != core.OpPurge {
			return &core.Check{Key: ch.Entry.Key, Version: &ch.Entry.Version}
		}
	}
	return nil
}

// txn is the transaction that makes c in the target, once after holds there.
func (m *migration) txn(c commit, after *core.Check) core.Txn {
	t := core.Txn{Meta: c.meta}
	t.Meta.ID = position{epoch: m.epoch, floor: m.floor, revision: c.revision, first: c.first}.id()
	if after != nil {
		t.Checks = []core.Check{*after}
	}
	for _, ch := range c.changes {
		op := core.Op{Key: ch.Entry.Key, Do: ch.Do}
		if ch.Do != core.OpPurge {
			op.Doc, op.Version = ch.Entry.Doc, ch.Entry.Version
		}
		t.Ops = append(t.Ops, op)
	}
	return t
}
