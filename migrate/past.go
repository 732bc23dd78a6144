package migrate

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/dynconfig/dynconfig/core"
)

// ref names a change up to the floor. bare: its record is no longer kept, and the entry alone tells of it.
type ref struct {
	revision core.Revision
	bare     bool
	key      core.Key
}

func (r ref) compare(o ref) int {
	return cmp.Or(cmp.Compare(r.revision, o.revision), compareBool(r.bare, o.bare), cmp.Compare(r.key, o.key))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// sameCommit says that o stands in the same copy as r. A bare change has no note, hence a copy of its own.
func (r ref) sameCommit(o ref) bool { return r.revision == o.revision && r.bare == o.bare }

// fetched is about how many changes are read together.
const fetched = 64

// past yields the commits from a revision up to the floor, as far as they are retained in the histories of keys, and
// reports whether it may go on. Histories are by key and not by revision: a survey of all of them names the oldest changes
// that fit the window, in order; these are read and yielded, then comes the next survey. Values are never kept.
func (m *migration) past(ctx context.Context, from core.Revision, yield func(commit, error) bool) bool {
	for from <= m.floor {
		refs, next, err := m.survey(ctx, from)
		if err != nil {
			return yield(commit{}, err)
		}
		for len(refs) > 0 {
			n := min(fetched, len(refs))
			for n < len(refs) && refs[n].revision == refs[n-1].revision {
				n++
			}
			if !m.fetch(ctx, refs[:n], yield) {
				return false
			}
			refs = refs[n:]
		}
		from = next
	}
	return true
}

// survey returns the oldest changes from a revision up to the floor, whole commits that fit the window, and the revision
// from which on there may be more.
func (m *migration) survey(ctx context.Context, from core.Revision) (refs []ref, next core.Revision, err error) {
	next = m.floor + 1
	seen := int64(0)
	var mu sync.Mutex
	for page, err := range pages(ctx, m.source, core.Query{Deleted: true, NoValue: true}) {
		if err != nil {
			return nil, 0, err
		}
		err := each(ctx, len(page), func(ctx context.Context, i int) error {
			own, err := m.refsOf(ctx, page[i], from)
			mu.Lock()
			defer mu.Unlock()
			for _, r := range own {
				if r.revision < next {
					refs = append(refs, r)
				}
			}
			if len(refs) >= 2*m.window {
				refs, next = oldest(refs, m.window, next)
			}
			return err
		})
		if err != nil {
			return nil, 0, err
		}
		seen += int64(len(page))
		m.progress(Progress{Stage: Surveying, Done: seen})
	}
	slices.SortFunc(refs, ref.compare)
	return refs, next, nil
}

// oldest keeps the n oldest of refs, and those of the same revision as the last of them. next becomes the revision of the
// first that it drops.
func oldest(refs []ref, n int, next core.Revision) ([]ref, core.Revision) {
	slices.SortFunc(refs, ref.compare)
	for n < len(refs) && refs[n].revision == refs[n-1].revision {
		n++
	}
	if n < len(refs) {
		next = refs[n].revision
	}
	return refs[:n], next
}

// refsOf names the changes of one key from a revision up to the floor.
func (m *migration) refsOf(ctx context.Context, e core.Entry, from core.Revision) (refs []ref, err error) {
	kept := false
	for r, err := range history(ctx, m.source, e.Key, m.floor+1) {
		if err != nil {
			return nil, err
		}
		if kept = true; r.Revision < from {
			return refs, nil
		}
		refs = append(refs, ref{revision: r.Revision, key: e.Key})
	}
	if !kept && e.Revision >= from && e.Revision <= m.floor {
		refs = append(refs, ref{revision: e.Revision, bare: true, key: e.Key})
	}
	return refs, nil
}

// fetch reads the changes that refs name and yields the commits that they make up. What is gone by now was purged, of which
// the log will tell.
func (m *migration) fetch(ctx context.Context, refs []ref, yield func(commit, error) bool) bool {
	records := make([]*core.Record, len(refs))
	err := each(ctx, len(refs), func(ctx context.Context, i int) (err error) {
		records[i], err = m.record(ctx, refs[i])
		return err
	})
	if err != nil {
		return yield(commit{}, err)
	}
	for i, n := 0, 0; i < len(refs); {
		first := refs[i]
		if i > 0 && first.revision != refs[i-1].revision {
			n = i
		}
		c := commit{revision: first.revision, first: i - n}
		for ; i < len(refs) && refs[i].sameCommit(first); i++ {
			if r := records[i]; r != nil {
				c.meta, c.changes = r.Meta, append(c.changes, r.Change)
			}
		}
		if len(c.changes) > 0 && !yield(c, nil) {
			return false
		}
	}
	return true
}

// record reads the change that a ref names; nil if it is gone.
func (m *migration) record(ctx context.Context, r ref) (*core.Record, error) {
	if !r.bare {
		records, err := m.source.History(ctx, r.key, r.revision+1, 1)
		if err != nil || len(records) == 0 || records[0].Revision != r.revision {
			return nil, err
		}
		return &records[0], nil
	}
	page, err := m.source.Get(ctx, []core.Key{r.key}, 0)
	if err != nil || len(page.Entries) == 0 || page.Entries[0].Revision != r.revision {
		return nil, err
	}
	bare := bareRecord(page.Entries[0])
	return &bare, nil
}

// bareRecord is what an entry alone tells of its last change.
func bareRecord(e core.Entry) core.Record {
	do := core.OpPut
	if e.Deleted {
		do = core.OpDelete
	}
	return core.Record{
		Revision: e.Revision, Meta: core.Meta{Time: e.Modified, Author: e.Author},
		Change: core.Change{Do: do, Entry: e},
	}
}
