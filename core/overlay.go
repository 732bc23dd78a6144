package core

import (
	"cmp"
	"slices"
	"time"
)

// Overlay evaluates transactions one after another over entries that a backend read, and remembers what they did. It is
// how every backend gives the same answers: read what Touched names at one revision, Apply each Txn of the batch, write
// down what Entries and the commits say.
type Overlay struct {
	head    Revision
	clock   time.Time
	entries map[Key]Entry // the present, tombstones included, as far as it was given or changed
	changed map[Key]bool
}

// NewOverlay starts from the entries at a revision; clock is the Meta.Time of the newest commit.
func NewOverlay(head Revision, clock time.Time, entries []Entry) *Overlay {
	o := &Overlay{head: head, clock: clock, entries: make(map[Key]Entry, len(entries)), changed: map[Key]bool{}}
	for _, e := range entries {
		o.entries[e.Key] = e
	}
	return o
}

// Touched returns the keys that transactions read or write, each once, in order.
func Touched(txns ...Txn) []Key {
	var keys []Key
	for _, t := range txns {
		for _, c := range t.Checks {
			keys = append(keys, c.Key)
		}
		for _, op := range t.Ops {
			keys = append(keys, op.Key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Apply evaluates one transaction: the commit it becomes, or the *ConflictError of its first Check that does not hold, in
// which case nothing changes. The entries of all its keys must have been given.
func (o *Overlay) Apply(txn Txn) (Commit, error) {
	for _, c := range txn.Checks {
		held := o.entries[c.Key]
		if c.Version != nil && *c.Version != held.Version || c.Rules != nil && *c.Rules != held.Rules {
			return Commit{}, &ConflictError{Key: c.Key, Version: held.Version, Rules: held.Rules, Head: o.head}
		}
	}
	seen := make(map[Key]bool, len(txn.Ops))
	for _, op := range txn.Ops {
		if seen[op.Key] {
			return Commit{}, Errorf(ErrInvalid, "a key stands twice in one transaction")
		}
		seen[op.Key] = true
		if op.Version != 0 && op.Version <= o.entries[op.Key].Version {
			return Commit{}, Errorf(ErrInvalid, "a version that an entry is to get is not greater than the one that it has")
		}
	}
	o.head++
	txn.Meta.Time = txn.Meta.Time.UTC().Truncate(time.Microsecond)
	if txn.Meta.Time.Before(o.clock) {
		txn.Meta.Time = o.clock
	}
	o.clock = txn.Meta.Time
	c := Commit{Revision: o.head, Meta: txn.Meta}
	for _, op := range txn.Ops {
		if ch, ok := o.apply(op, c.Meta); ok {
			c.Changes = append(c.Changes, ch)
		}
	}
	slices.SortFunc(c.Changes, func(a, b Change) int { return cmp.Compare(a.Entry.Key, b.Entry.Key) })
	return c, nil
}

func (o *Overlay) apply(op Op, meta Meta) (Change, bool) {
	old, exists := o.entries[op.Key]
	was := Was{Exists: exists, Deleted: old.Deleted, ACL: old.Doc.ACL}
	e := Entry{
		Key: op.Key, Version: cmp.Or(op.Version, old.Version+1), Revision: o.head, Rules: old.Rules,
		Modified: meta.Time, Author: meta.Author,
	}
	copied := op.Do == OpDelete && op.Version != 0
	switch op.Do {
	case OpPut:
		e.Doc = op.Doc
		if !exists || old.Deleted || !old.Doc.ACL.Equal(op.Doc.ACL) || old.Doc.TTL != op.Doc.TTL {
			e.Rules = o.head
		}
	case OpDelete, OpPurge:
		if !copied && (!exists || op.Do == OpDelete && old.Deleted) {
			return Change{}, false
		}
		e.Deleted, e.Rules = true, o.head
		e.Doc = Doc{ACL: old.Doc.ACL, Attrs: op.Doc.Attrs}
		if copied {
			e.Doc.ACL = op.Doc.ACL
		}
	}
	if op.Do == OpPurge {
		delete(o.entries, op.Key)
	} else {
		o.entries[op.Key] = e
	}
	o.changed[op.Key] = true
	return Change{Do: op.Do, Entry: e, Was: was}, true
}

// Head returns the revision and the clock after the transactions applied so far.
func (o *Overlay) Head() (Revision, time.Time) { return o.head, o.clock }

// Entries returns what the transactions applied so far left: each changed key's present entry, or in gone if it was
// purged, in key order.
func (o *Overlay) Entries() (present []Entry, gone []Key) {
	for k := range o.changed {
		if e, ok := o.entries[k]; ok {
			present = append(present, e)
		} else {
			gone = append(gone, k)
		}
	}
	slices.SortFunc(present, func(a, b Entry) int { return cmp.Compare(a.Key, b.Key) })
	slices.Sort(gone)
	return present, gone
}
