package migrate

import (
	"context"
	"errors"
	"iter"

	"github.com/dynconfig/dynconfig/core"
)

// commits yields what is to be copied, in order: up to the floor what histories tell, from there to head the log. The log
// has what was purged since; what was purged before is nowhere.
func (m *migration) commits(ctx context.Context, head core.Revision) iter.Seq2[commit, error] {
	return func(yield func(commit, error) bool) {
		_ = m.past(ctx, m.next, yield) && m.log(ctx, max(m.next, m.floor+1), head, yield)
	}
}

// log yields commits from a revision up to head, and reports whether it may go on.
func (m *migration) log(ctx context.Context, from, head core.Revision, yield func(commit, error) bool) bool {
	for from <= head {
		page, err := m.source.Log(ctx, from-1, 0)
		switch {
		case errors.Is(err, core.ErrCompacted):
			err = errCompacted()
		case err == nil && len(page) == 0:
			err = core.Errorf(core.ErrUnavailable, "Log of the source ends before its head")
		}
		if err != nil {
			return yield(commit{}, err)
		}
		for _, c := range page {
			if !yield(commit{revision: c.Revision, meta: c.Meta, changes: c.Changes}, nil) {
				return false
			}
			from = c.Revision + 1
		}
	}
	return true
}
