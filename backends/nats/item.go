package nats

import (
	"cmp"
	"slices"

	"github.com/dynconfig/dynconfig/core"
)

// ref says in which message of the stream the change of a revision is.
type ref struct {
	revision core.Revision
	seq      uint64
}

// item is what a node knows of a key. Nobody changes one: a change makes another. The value is in the stream.
type item struct {
	entry core.Entry // without its value
	size  int        // of the value; below 0: it is nil
	seq   uint64     // the message in which the entry is
	past  []ref      // its changes that History has, oldest first; an item shares the array with its forerunner
}

func lessItem(a, b *item) bool { return a.entry.Key < b.entry.Key }

// next returns what a change makes of an item, or of none.
func (old *item) next(c core.Change, seq uint64) *item {
	it := &item{entry: c.Entry, size: len(c.Entry.Doc.Value), seq: seq}
	if c.Entry.Doc.Value == nil {
		it.size = -1
	}
	it.entry.Doc.Value = nil
	if old != nil {
		it.past = old.past
		if old.entry.Doc.ACL != nil && old.entry.Doc.ACL.Equal(c.Entry.Doc.ACL) && c.Entry.Doc.ACL != nil {
			it.entry.Doc.ACL = old.entry.Doc.ACL
		}
	}
	it.past = append(it.past, ref{c.Entry.Revision, seq})
	return it
}

// at finds the place of a revision in the past.
func (it *item) at(r core.Revision) (int, bool) {
	return slices.BinarySearchFunc(it.past, r, func(a ref, r core.Revision) int { return cmp.Compare(a.revision, r) })
}

// moved returns the item when its change of a revision is now in another message.
func (it *item) moved(r core.Revision, seq uint64) *item {
	i, there := it.at(r)
	if !there && it.entry.Revision != r {
		return it
	}
	c := *it
	if it.entry.Revision == r {
		c.seq = seq
	}
	if there {
		c.past = slices.Clone(it.past)
		c.past[i].seq = seq
	}
	return &c
}

// trimmed returns the item whose past is what is above a revision and the last keep.
func (it *item) trimmed(upTo core.Revision, keep int) *item {
	above, _ := it.at(upTo + 1)
	drop := min(above, len(it.past)-keep)
	if drop <= 0 {
		return it
	}
	c := *it
	c.past = slices.Clone(it.past[drop:])
	return &c
}

// lend returns the entry for a caller, its value only if that is empty.
func (it *item) lend(value bool) core.Entry {
	e := it.entry
	if value && it.size == 0 {
		e.Doc.Value = []byte{}
	}
	return e
}

// weight is about how many bytes the entry takes in an answer.
func (it *item) weight(value bool) int {
	n := 64 + len(it.entry.Key) + aclWeight(it.entry.Doc.ACL)
	if value {
		n += max(0, it.size)
	}
	return n
}

func aclWeight(a *core.ACL) int {
	if a == nil {
		return 0
	}
	n := 0
	for _, list := range [][]string{a.Read, a.Write, a.Admin} {
		for _, name := range list {
			n += 16 + len(name)
		}
	}
	return n
}

// changeWeight is about how many bytes a change takes in an answer.
func changeWeight(c core.Change) int {
	return 100 + len(c.Entry.Key) + len(c.Entry.Doc.Value) + aclWeight(c.Entry.Doc.ACL)
}
