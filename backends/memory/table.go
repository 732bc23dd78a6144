package memory

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// table is what the handles of one store share.
type table struct {
	epoch  string
	now    func() time.Time
	limits core.Limits

	mu      sync.RWMutex
	head    core.Revision
	floor   core.Revision
	clock   time.Time      // Meta.Time of the newest commit
	log     []*core.Commit // those after floor; nobody changes one
	entries map[core.Key]core.Entry
	history map[core.Key][]mark // oldest first
	keys    keys
	ids     recent
}

// mark is one key's part of a commit: log and history share the commits.
type mark struct {
	commit *core.Commit
	change int
}

func newTable(o Options, epoch string) *table {
	return &table{
		epoch: epoch, now: o.Now, limits: core.Limits{MaxOps: maxOps, MaxBytes: maxBytes, Shared: o.Shared},
		entries: map[core.Key]core.Entry{}, history: map[core.Key][]mark{},
		ids: recent{byID: map[string]*core.Commit{}},
	}
}

// Commit implements core.Store.
func (s *Store) Commit(ctx context.Context, txn core.Txn) (core.Commit, error) {
	if err := tooLarge(txn); err != nil {
		return core.Commit{}, err
	}
	txn = own(txn)
	t := s.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := s.alive(ctx); err != nil {
		return core.Commit{}, err
	}
	now := t.now()
	t.ids.forget(now.Add(-core.KeepIDs))
	if first := t.ids.byID[txn.Meta.ID]; first != nil {
		return lend(first), nil
	}
	touched := core.Touched(txn)
	held := make([]core.Entry, 0, len(touched))
	for _, k := range touched {
		if e, ok := t.entries[k]; ok {
			held = append(held, e)
		}
	}
	c, err := core.NewOverlay(t.head, t.clock, held).Apply(txn)
	if err != nil {
		return core.Commit{}, err
	}
	t.apply(&c)
	t.ids.add(&c, now)
	return lend(&c), nil
}

// apply makes c the newest commit.
func (t *table) apply(c *core.Commit) {
	t.head, t.clock = c.Revision, c.Meta.Time
	t.log = append(t.log, c)
	for i, ch := range c.Changes {
		k := ch.Entry.Key
		if ch.Do == core.OpPurge {
			delete(t.entries, k)
			delete(t.history, k)
			continue
		}
		if !ch.Was.Exists {
			t.keys.add(k)
		}
		t.entries[k] = ch.Entry
		t.history[k] = append(t.history[k], mark{commit: c, change: i})
	}
}

func tooLarge(txn core.Txn) error {
	size := 0
	for _, op := range txn.Ops {
		size += max(0, len(op.Doc.Value)-core.MaxOverhead)
	}
	if len(txn.Ops) > maxOps {
		return core.Errorf(core.ErrTooLarge, "More than %d operations in one transaction", maxOps)
	}
	if size > maxBytes {
		return core.Errorf(core.ErrTooLarge, "More than %d bytes of values in one transaction", maxBytes)
	}
	return nil
}

// own returns a copy of txn that shares nothing with its caller.
func own(txn core.Txn) core.Txn {
	txn.Meta.Attrs = maps.Clone(txn.Meta.Attrs)
	txn.Ops = slices.Clone(txn.Ops)
	for i := range txn.Ops {
		d := &txn.Ops[i].Doc
		d.Value, d.Attrs = bytes.Clone(d.Value), maps.Clone(d.Attrs)
		if d.ACL != nil {
			d.ACL = &core.ACL{Read: slices.Clone(d.ACL.Read), Write: slices.Clone(d.ACL.Write), Admin: slices.Clone(d.ACL.Admin)}
		}
	}
	return txn
}

// lend returns a copy of c whose slices are the caller's.
func lend(c *core.Commit) core.Commit {
	out := *c
	out.Changes = slices.Clone(c.Changes)
	return out
}

// alive reports why a call cannot be served.
func (s *Store) alive(ctx context.Context) error {
	if s.closed.Load() {
		return errClosed
	}
	if err := ctx.Err(); err != nil {
		return core.Errorf(core.ErrUnavailable, "Call was given up").Because(err)
	}
	return nil
}
