package memory

import (
	"context"
	"slices"

	"github.com/dynconfig/dynconfig/core"
)

// Sync implements core.Store.
func (s *Store) Sync(ctx context.Context) (core.Revision, error) {
	s.table.mu.RLock()
	defer s.table.mu.RUnlock()
	return s.table.head, s.alive(ctx)
}

// Status implements core.Store.
func (s *Store) Status(ctx context.Context) (core.Status, error) {
	t := s.table
	t.mu.RLock()
	defer t.mu.RUnlock()
	if err := s.alive(ctx); err != nil {
		return core.Status{}, err
	}
	return core.Status{Epoch: t.epoch, Head: t.head, Floor: t.floor, Clock: t.now()}, nil
}

// reach reports why a page of at least a revision cannot be served.
func (s *Store) reach(ctx context.Context, atLeast core.Revision) error {
	if err := s.alive(ctx); err != nil {
		return err
	}
	if atLeast > s.table.head {
		return core.Errorf(core.ErrUnavailable, "Store has not reached this revision")
	}
	return nil
}

// Get implements core.Store.
func (s *Store) Get(ctx context.Context, keys []core.Key, atLeast core.Revision) (core.Page, error) {
	if len(keys) > core.MaxGet {
		return core.Page{}, core.Errorf(core.ErrTooLarge, "More than %d keys in one read", core.MaxGet)
	}
	if !slices.IsSorted(keys) {
		keys = slices.Sorted(slices.Values(keys))
	}
	t := s.table
	t.mu.RLock()
	defer t.mu.RUnlock()
	if err := s.reach(ctx, atLeast); err != nil {
		return core.Page{}, err
	}
	p := core.Page{Revision: t.head}
	for i, k := range keys {
		if e, ok := t.entries[k]; ok && (i == 0 || k != keys[i-1]) {
			p.Entries = append(p.Entries, e)
		}
	}
	return p, nil
}

// List implements core.Store.
func (s *Store) List(ctx context.Context, q core.Query) (core.Page, error) {
	t := s.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := s.reach(ctx, q.AtLeast); err != nil {
		return core.Page{}, err
	}
	t.keys.settle(func(k core.Key) bool { _, ok := t.entries[k]; return !ok })
	p := core.Page{Revision: t.head}
	size := 0
	for _, k := range t.keys.from(q.From) {
		if q.To != "" && k >= q.To {
			break
		}
		e, ok := t.entries[k]
		if !ok || e.Deleted && !q.Deleted {
			continue
		}
		if q.NoValue {
			e.Doc.Value = nil
		}
		size += weight(e)
		if len(p.Entries) > 0 && (size > core.PageBytes || len(p.Entries) == q.Limit) {
			p.More = true
			break
		}
		p.Entries = append(p.Entries, e)
	}
	return p, nil
}

// Log implements core.Store.
func (s *Store) Log(ctx context.Context, after core.Revision, limit int) ([]core.Commit, error) {
	t := s.table
	t.mu.RLock()
	defer t.mu.RUnlock()
	if err := s.alive(ctx); err != nil {
		return nil, err
	}
	if after < t.floor {
		return nil, core.Errorf(core.ErrCompacted, "Revision is no longer kept")
	}
	if after >= t.head {
		return nil, nil
	}
	var out []core.Commit
	size := 0
	for _, c := range t.log[after-t.floor:] {
		for _, ch := range c.Changes {
			size += weight(ch.Entry)
		}
		if len(out) > 0 && (size > core.PageBytes || len(out) == limit) {
			break
		}
		out = append(out, lend(c))
	}
	return out, nil
}

// History implements core.Store.
func (s *Store) History(ctx context.Context, key core.Key, before core.Revision, limit int) ([]core.Record, error) {
	t := s.table
	t.mu.RLock()
	defer t.mu.RUnlock()
	if err := s.alive(ctx); err != nil {
		return nil, err
	}
	var out []core.Record
	size := 0
	for _, m := range slices.Backward(t.history[key]) {
		c := m.commit
		if before != 0 && c.Revision >= before {
			continue
		}
		size += weight(c.Changes[m.change].Entry)
		if len(out) > 0 && (size > core.PageBytes || len(out) == limit) {
			break
		}
		out = append(out, core.Record{Revision: c.Revision, Meta: c.Meta, Change: c.Changes[m.change]})
	}
	return out, nil
}

// weight is about how many bytes an entry takes in an answer.
func weight(e core.Entry) int {
	n := 64 + len(e.Key) + len(e.Doc.Value)
	if a := e.Doc.ACL; a != nil {
		for _, l := range [][]string{a.Read, a.Write, a.Admin} {
			for _, name := range l {
				n += len(name)
			}
		}
	}
	return n
}
