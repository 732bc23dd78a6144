package nats

import (
	"context"
	"errors"

	"github.com/dynconfig/dynconfig/core"
)

// Log implements core.Store. Where this node knows of nothing more it asks, by a barrier: who follows the log takes the
// answer for news from the store. In an epoch that the caller has not loaded it answers ErrCompacted, so that he does.
func (s *Store) Log(ctx context.Context, after core.Revision, limit int) ([]core.Commit, error) {
	if err := s.alive(ctx); err != nil {
		return nil, err
	}
	out, err := s.pageAfter(ctx, after, limit)
	if errors.Is(err, errOther) {
		return nil, core.Errorf(core.ErrCompacted, "Revision is of another epoch")
	}
	return out, err
}

// pageAfter returns a page of the commits after a revision.
func (s *Store) pageAfter(ctx context.Context, after core.Revision, limit int) ([]core.Commit, error) {
	ctx, cancel := s.timeout(ctx)
	defer cancel()
	for try, asked := 0, false; ; {
		batches, err := s.batches(ctx, after, limit)
		switch {
		case err != nil:
			return nil, err
		case len(batches) > 0:
			out, err := s.commits(ctx, batches, after, limit)
			if try++; !errors.Is(err, errGone) || try > maxGone {
				return out, err
			}
		case asked:
			return nil, nil
		default:
			if _, err := s.Sync(ctx); err != nil {
				return nil, err
			}
			asked = true
		}
	}
}

// batches returns where the commits after a revision are, enough for a page.
func (s *Store) batches(ctx context.Context, after core.Revision, limit int) (out []batch, err error) {
	awaited := s.use(ctx, func(v *view) {
		if after < v.floor {
			err = core.Errorf(core.ErrCompacted, "Revision is no longer kept")
			return
		}
		size, count := 0, 0
		for _, b := range v.batches[v.batchFrom(max(0, after)+1):] {
			if size > core.PageBytes || limit > 0 && count >= limit {
				break
			}
			out, size, count = append(out, b), size+int(b.size), count+int(b.count)
			count -= max(0, int(after-b.first)+1)
		}
	})
	if awaited != nil {
		return nil, awaited
	}
	return out, err
}

// commits reads batches, and returns their commits after a revision that fit a page.
func (s *Store) commits(ctx context.Context, batches []batch, after core.Revision, limit int) ([]core.Commit, error) {
	records := make([]*record, len(batches))
	err := s.each(ctx, len(batches), func(ctx context.Context, i int) (err error) {
		records[i], err = s.body(ctx, batches[i].seq)
		return err
	})
	if err != nil {
		return nil, err
	}
	var out []core.Commit
	size := 0
	for _, r := range records {
		for i := range r.Commits {
			if r.First+core.Revision(i) <= after {
				continue
			}
			c := r.commit(i)
			size += 100
			for _, ch := range c.Changes {
				size += changeWeight(ch)
			}
			if len(out) > 0 && (size > core.PageBytes || len(out) == limit) {
				return out, nil
			}
			out = append(out, c)
		}
	}
	return out, nil
}

// History implements core.Store. It asks how far the log goes first: nobody can say what it must show at least, as with Get.
func (s *Store) History(ctx context.Context, key core.Key, before core.Revision, limit int) ([]core.Record, error) {
	if _, err := s.Sync(ctx); err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		out, err := s.history(ctx, key, before, limit)
		if !errors.Is(err, errGone) || try == maxGone {
			return out, err
		}
	}
}

// history reads a key's changes, some messages at a time, newest first, until a page is full.
func (s *Store) history(ctx context.Context, key core.Key, before core.Revision, limit int) ([]core.Record, error) {
	ctx, cancel := s.timeout(ctx)
	defer cancel()
	var past []ref
	if err := s.use(ctx, func(v *view) {
		if it := v.get(key); it != nil {
			past = it.past
			if before != 0 {
				i, _ := it.at(before)
				past = past[:i]
			}
		}
	}); err != nil {
		return nil, err
	}
	var out []core.Record
	size := 0
	for chunk := 1; len(past) > 0; chunk = fetches {
		n := min(chunk, len(past))
		records := make([]core.Record, n)
		wants := make([]want, n)
		for i := range wants {
			r := past[len(past)-1-i]
			wants[i] = want{seq: r.seq, key: key, revision: r.revision, fill: func(found core.Record) { records[i] = found }}
		}
		if err := s.fetch(ctx, wants); err != nil {
			return nil, err
		}
		for _, r := range records {
			size += changeWeight(r.Change)
			if len(out) > 0 && (size > core.PageBytes || len(out) == limit) {
				return out, nil
			}
			out = append(out, r)
		}
		past = past[:len(past)-n]
	}
	return out, nil
}
