package memory

import (
	"context"
	"slices"

	"github.com/dynconfig/dynconfig/core"
)

// Compact implements core.Store.
func (s *Store) Compact(ctx context.Context, upTo core.Revision, keep int) error {
	t := s.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := s.alive(ctx); err != nil {
		return err
	}
	upTo = min(upTo, t.head)
	if upTo < t.floor {
		return nil
	}
	t.log = slices.Clone(t.log[upTo-t.floor:])
	t.floor = upTo
	for k, marks := range t.history {
		above, _ := slices.BinarySearchFunc(marks, upTo+1, func(m mark, r core.Revision) int { return int(m.commit.Revision - r) })
		if drop := min(above, len(marks)-keep); drop > 0 {
			t.history[k] = slices.Clone(marks[drop:])
		}
	}
	return nil
}
