package postgres

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dynconfig/dynconfig/core"
)

// At most so many rows make a page: with what goes with each of them they are about core.PageBytes.
const (
	pageEntries = 20_000
	pageCommits = 10_000
	pageRecords = 1_000
)

// Get implements core.Store.
func (s *Store) Get(ctx context.Context, keys []core.Key, atLeast core.Revision) (core.Page, error) {
	if len(keys) > core.MaxGet {
		return core.Page{}, core.Errorf(core.ErrTooLarge, "More than %d keys in one read", core.MaxGet)
	}
	texts := encodeKeys(keys)
	slices.Sort(texts)
	texts = slices.Compact(texts)
	return s.page(ctx, request{atLeast: atLeast}, getSQL, texts)
}

// List implements core.Store. Whoever begins at the beginning starts over, also where the store has become another.
func (s *Store) List(ctx context.Context, q core.Query) (core.Page, error) {
	to := afterAll
	if q.To != "" {
		to = encodeKey(q.To)
	}
	limit := cmp.Or(q.Limit, pageEntries)
	return s.page(ctx, request{atLeast: q.AtLeast, limit: limit, anew: q.From == ""}, listSQL,
		encodeKey(q.From), to, q.Deleted, q.NoValue, int64(limit), int64(core.PageBytes))
}

// request is what a page is to be, beside its rows.
type request struct {
	atLeast core.Revision
	limit   int  // of entries; 0: none
	anew    bool // the reader starts over
}

func (s *Store) page(ctx context.Context, r request, sql string, args ...any) (core.Page, error) {
	return read(ctx, s, func(ctx context.Context, c *pgxpool.Conn) (core.Page, error) {
		if r.anew {
			s.adopt(c)
		}
		if err := s.follows(c); err != nil {
			return core.Page{}, err
		}
		rows, err := c.Query(ctx, sql, args...)
		if err != nil {
			return core.Page{}, err
		}
		p, err := scanPage(rows, r.limit)
		if err == nil && p.Revision < r.atLeast {
			err = core.Errorf(core.ErrUnavailable, "Store has not reached this revision")
		}
		return p, err
	})
}

// Log implements core.Store.
func (s *Store) Log(ctx context.Context, after core.Revision, limit int) ([]core.Commit, error) {
	return read(ctx, s, func(ctx context.Context, c *pgxpool.Conn) ([]core.Commit, error) {
		if s.follows(c) != nil {
			return nil, core.Errorf(core.ErrCompacted, "Revision is of another epoch").Because(errLineage)
		}
		if limit <= 0 {
			limit = pageCommits
		}
		upTo := after + core.Revision(limit)
		floor, commits, err := queryCommits(ctx, c, logSQL, int64(after), int64(upTo), int64(core.PageBytes))
		if err == nil && after < floor {
			return nil, core.Errorf(core.ErrCompacted, "Revision is no longer kept")
		}
		return commits, err
	})
}

// History implements core.Store.
func (s *Store) History(ctx context.Context, key core.Key, before core.Revision, limit int) ([]core.Record, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	if limit <= 0 {
		limit = pageRecords
	}
	return read(ctx, s, func(ctx context.Context, c *pgxpool.Conn) ([]core.Record, error) {
		if err := s.follows(c); err != nil {
			return nil, err
		}
		_, commits, err := queryCommits(ctx, c, historySQL, encodeKey(key), int64(before), int64(limit), int64(core.PageBytes))
		records := make([]core.Record, len(commits))
		for i, commit := range commits {
			records[i] = core.Record{Revision: commit.Revision, Meta: commit.Meta, Change: commit.Changes[0]}
		}
		return records, err
	})
}
