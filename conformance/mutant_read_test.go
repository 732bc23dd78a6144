package conformance

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/dynconfig/dynconfig/core"
)

var readMutants = []mutant{
	{"serves a stale page", "a write is read through a peer", func() func(*core.Backend) {
		return func(b *core.Backend) {
			var mu sync.Mutex
			var last core.Page
			patched{page: func(p core.Page) core.Page {
				mu.Lock()
				defer mu.Unlock()
				last, p = p, last
				return p
			}}.infect(b)
		}
	}},
	{"tells the head that it knew before", "sync is linearizable through a peer", func() func(*core.Backend) {
		return func(b *core.Backend) {
			var mu sync.Mutex
			var last core.Revision
			patched{sync: func(ctx context.Context, s core.Store) (core.Revision, error) {
				r, err := s.Sync(ctx)
				mu.Lock()
				defer mu.Unlock()
				last, r = r, last
				return r, err
			}}.infect(b)
		}
	}},
	{"returns keys in the order of the question", "get returns the keys that there are, in order, tombstones included", patch(patched{
		get: func(ctx context.Context, s core.Store, keys []core.Key, atLeast core.Revision) (core.Page, error) {
			p, err := s.Get(ctx, keys, atLeast)
			slices.SortFunc(p.Entries, func(a, b core.Entry) int { return slices.Index(keys, a.Key) - slices.Index(keys, b.Key) })
			return p, err
		},
	})},
	{"hides tombstones from get", "get returns the keys that there are, in order, tombstones included", dropEntries(func(e core.Entry) bool { return e.Deleted })},
	{"reads a hundred keys at most", "get takes as many keys as it says, however large", patch(patched{
		get: func(ctx context.Context, s core.Store, keys []core.Key, atLeast core.Revision) (core.Page, error) {
			return s.Get(ctx, keys[:min(len(keys), 100)], atLeast)
		},
	})},
	{"shows less than was asked for", "a page never shows less than was asked for", patch(patched{
		get: func(ctx context.Context, s core.Store, keys []core.Key, _ core.Revision) (core.Page, error) {
			return s.Get(ctx, keys, 0)
		},
	})},
	{"sorts as a language does", "keys are opaque bytes in byte order", patch(patched{page: func(p core.Page) core.Page {
		slices.SortStableFunc(p.Entries, func(a, b core.Entry) int {
			return strings.Compare(strings.ToLower(string(a.Key)), strings.ToLower(string(b.Key)))
		})
		return p
	}})},
	{"takes a prefix for a pattern", "a prefix is literal", patch(patched{list: like})},
	{"includes the end of a range", "a range is half open", patch(patched{list: func(ctx context.Context, s core.Store, q core.Query) (core.Page, error) {
		if q.To != "" {
			q.To += "\x00"
		}
		return s.List(ctx, q)
	}})},
	{"skips an entry between pages", "pages skip nothing and repeat nothing", patch(patched{list: func(ctx context.Context, s core.Store, q core.Query) (core.Page, error) {
		p, err := s.List(ctx, q)
		if q.From != "" && len(p.Entries) > 1 {
			p.Entries = p.Entries[1:]
		}
		return p, err
	}})},
	{"puts everything on one page", "a page is about 4 MiB and holds at least one entry", patch(patched{list: func(ctx context.Context, s core.Store, q core.Query) (core.Page, error) {
		whole, err := s.List(ctx, q)
		for whole.More && err == nil {
			q.From = whole.Entries[len(whole.Entries)-1].Key + "\x00"
			var p core.Page
			p, err = s.List(ctx, q)
			p.Entries = append(whole.Entries, p.Entries...)
			whole = p
		}
		return whole, err
	}})},
	{"lists values although it need not", "a list leaves out values and tombstones when asked to", patch(patched{list: func(ctx context.Context, s core.Store, q core.Query) (core.Page, error) {
		q.NoValue = false
		return s.List(ctx, q)
	}})},
	{"ends a list at a page of tombstones", "tombstones do not end a list", patch(patched{list: func(ctx context.Context, s core.Store, q core.Query) (core.Page, error) {
		wanted := q.Deleted
		q.Deleted = true
		p, err := s.List(ctx, q)
		if !wanted {
			p.Entries = slices.DeleteFunc(p.Entries, func(e core.Entry) bool { return e.Deleted })
		}
		p.More = p.More && len(p.Entries) > 0
		return p, err
	}})},
	{"shows R+1 before R", "nobody sees R+1 before R", patch(patched{log: func(ctx context.Context, s core.Store, after core.Revision, limit int) ([]core.Commit, error) {
		log, err := s.Log(ctx, after, limit)
		if n := len(log); n > 1 {
			log = slices.Delete(log, n-2, n-1)
		}
		return log, err
	}})},
	{"lets a commit be seen in part", "a commit is seen whole or not at all", patch(patched{
		get: func(ctx context.Context, s core.Store, keys []core.Key, atLeast core.Revision) (core.Page, error) {
			var whole core.Page
			for i, key := range keys {
				if i == 1 {
					moves(ctx, s, whole.Revision)
				}
				p, err := s.Get(ctx, []core.Key{key}, atLeast)
				if err != nil {
					return p, err
				}
				whole.Revision = p.Revision
				whole.Entries = append(whole.Entries, p.Entries...)
			}
			return whole, nil
		},
	})},
	{"reads the entries and then asks for the revision", "a page is exact at its revision under writes", patch(patched{
		get: func(ctx context.Context, s core.Store, keys []core.Key, atLeast core.Revision) (core.Page, error) {
			p, err := s.Get(ctx, keys, atLeast)
			moves(ctx, s, p.Revision)
			if r, err := s.Sync(ctx); err == nil {
				p.Revision = r
			}
			return p, err
		},
	})},
}

// like finds a prefix as SQL's LIKE does.
func like(ctx context.Context, s core.Store, q core.Query) (core.Page, error) {
	if q.From == "" || q.To != after(q.From) {
		return s.List(ctx, q)
	}
	text := regexp.QuoteMeta(string(q.From))
	text = strings.ReplaceAll(strings.ReplaceAll(text, "%", ".*"), "_", ".")
	pattern, err := regexp.Compile("(?s)^" + text)
	if err != nil {
		return s.List(ctx, q)
	}
	q.From, q.To = "", ""
	p, err := s.List(ctx, q)
	p.Entries = slices.DeleteFunc(p.Entries, func(e core.Entry) bool { return !pattern.MatchString(string(e.Key)) })
	return p, err
}
