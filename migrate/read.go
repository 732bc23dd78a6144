package migrate

import (
	"context"
	"iter"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/dynconfig/dynconfig/core"
)

// readers is how many reads of a store are under way at once.
const readers = 8

// each calls f for every i below n, several at once, until one fails.
func each(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range min(readers, n) {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := f(ctx, i); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// pages yields the entries of a query, a page at a time.
func pages(ctx context.Context, s core.Store, q core.Query) iter.Seq2[[]core.Entry, error] {
	return func(yield func([]core.Entry, error) bool) {
		for {
			p, err := s.List(ctx, q)
			if !yield(p.Entries, err) || err != nil || !p.More {
				return
			}
			q.From = p.Entries[len(p.Entries)-1].Key + "\x00"
		}
	}
}

// historyPage is how many records are asked for at once.
const historyPage = 100

// history yields a key's records before a revision (0: all), newest first.
func history(ctx context.Context, s core.Store, key core.Key, before core.Revision) iter.Seq2[core.Record, error] {
	return func(yield func(core.Record, error) bool) {
		for {
			page, err := s.History(ctx, key, before, historyPage)
			if err != nil {
				yield(core.Record{}, err)
				return
			}
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
				before = r.Revision
				if before == 1 || !r.Change.Was.Exists { // there is nothing older
					return
				}
			}
			if len(page) == 0 {
				return
			}
		}
	}
}
