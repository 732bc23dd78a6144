package conformance

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/dynconfig/dynconfig/core"
)

func eachLog(change func(log []core.Commit) []core.Commit) func() func(*core.Backend) {
	return patch(patched{log: func(ctx context.Context, s core.Store, after core.Revision, limit int) ([]core.Commit, error) {
		log, err := s.Log(ctx, after, limit)
		return change(log), err
	}})
}

var logMutants = []mutant{
	{"logs the first change of a commit alone", "the log holds every commit whole, in order", eachLog(func(log []core.Commit) []core.Commit {
		for i := range log {
			log[i].Changes = log[i].Changes[:min(1, len(log[i].Changes))]
		}
		return log
	})},
	{"repeats the commit that was named", "cut at every revision and resumed, the log is the same", patch(patched{
		log: func(ctx context.Context, s core.Store, after core.Revision, limit int) ([]core.Commit, error) {
			return s.Log(ctx, max(after-1, 0), limit)
		},
	})},
	{"puts the whole log on one page", "a log page is about 4 MiB and holds at least one commit", patch(patched{
		log: func(ctx context.Context, s core.Store, after core.Revision, limit int) ([]core.Commit, error) {
			var whole []core.Commit
			for {
				log, err := s.Log(ctx, after+core.Revision(len(whole)), limit)
				if len(log) == 0 || err != nil {
					return whole, err
				}
				whole = append(whole, log...)
			}
		},
	})},
	{"takes what is ahead for compacted", "ahead of the head the log is empty", patch(patched{
		log: func(ctx context.Context, s core.Store, after core.Revision, limit int) ([]core.Commit, error) {
			if r, err := s.Sync(ctx); err == nil && after > r {
				return nil, core.Errorf(core.ErrCompacted, "Revision is not known")
			}
			return s.Log(ctx, after, limit)
		},
	})},
	{"tells the history from the beginning", "history is every change of a key, newest first", eachHistory(func(h []core.Record) []core.Record {
		slices.Reverse(h)
		return h
	})},
	{"ignores where a history should end", "history ends before the revision asked", patch(patched{
		history: func(ctx context.Context, s core.Store, key core.Key, _ core.Revision, limit int) ([]core.Record, error) {
			return s.History(ctx, key, 0, limit)
		},
	})},
	{"remembers what was purged", "purging a key purges its history", patch(patched{history: historyOfLog})},
	{"answers below the floor with what is above", "below the floor the log is compacted, above it whole", patch(patched{log: logFromFloor})},
	{"leaves holes for readers", "a reader during compaction gets whole pages or is told", patch(patched{log: logFromFloor})},
	{"keeps no history below the floor", "history keeps the last changes of each key and all above the floor", patch(patched{
		compact: func(ctx context.Context, s core.Store, upTo core.Revision, _ int) error {
			return s.Compact(ctx, upTo, 0)
		},
	})},
	{"compacts tombstones away", "entries and tombstones outlive compaction", func() func(*core.Backend) {
		var compacted atomic.Bool
		return patched{
			compact: func(ctx context.Context, s core.Store, upTo core.Revision, keep int) error {
				compacted.Store(true)
				return s.Compact(ctx, upTo, keep)
			},
			page: func(p core.Page) core.Page {
				p.Entries = slices.DeleteFunc(p.Entries, func(e core.Entry) bool { return e.Deleted && compacted.Load() })
				return p
			},
		}.infect
	}},
	{"lets the floor sink", "the floor never sinks", func() func(*core.Backend) {
		var floor atomic.Int64
		return patched{
			compact: func(ctx context.Context, s core.Store, upTo core.Revision, keep int) error {
				floor.Store(int64(upTo))
				return s.Compact(ctx, upTo, keep)
			},
			status: func(ctx context.Context, s core.Store) (core.Status, error) {
				st, err := s.Status(ctx)
				st.Floor = core.Revision(floor.Load())
				return st, err
			},
		}.infect
	}},
	{"keeps the floor in memory", "compaction survives a restart", func() func(*core.Backend) {
		return func(b *core.Backend) {
			var floor atomic.Int64
			patched{
				compact: func(_ context.Context, _ core.Store, upTo core.Revision, _ int) error {
					floor.Store(int64(upTo))
					return nil
				},
				log: func(ctx context.Context, s core.Store, after core.Revision, limit int) ([]core.Commit, error) {
					if int64(after) < floor.Load() {
						return nil, core.Errorf(core.ErrCompacted, "Revision is no longer kept")
					}
					return s.Log(ctx, after, limit)
				},
				status: func(ctx context.Context, s core.Store) (core.Status, error) {
					st, err := s.Status(ctx)
					st.Floor = core.Revision(floor.Load())
					return st, err
				},
			}.infect(b)
		}
	}},
}

func eachHistory(change func(h []core.Record) []core.Record) func() func(*core.Backend) {
	return patch(patched{history: func(ctx context.Context, s core.Store, key core.Key, before core.Revision, limit int) ([]core.Record, error) {
		h, err := s.History(ctx, key, before, limit)
		return change(h), err
	}})
}

// historyOfLog finds a key's history in the log, where a purge leaves it.
func historyOfLog(ctx context.Context, s core.Store, key core.Key, before core.Revision, limit int) ([]core.Record, error) {
	log, err := s.Log(ctx, 0, 1000)
	var out []core.Record
	for _, c := range slices.Backward(log) {
		for _, ch := range c.Changes {
			if ch.Entry.Key == key && (before == 0 || c.Revision < before) && len(out) < limit {
				out = append(out, core.Record{Revision: c.Revision, Meta: c.Meta, Change: ch})
			}
		}
	}
	return out, err
}

// logFromFloor passes over what is compacted.
func logFromFloor(ctx context.Context, s core.Store, after core.Revision, limit int) ([]core.Commit, error) {
	log, err := s.Log(ctx, after, limit)
	if errors.Is(err, core.ErrCompacted) {
		st, err := s.Status(ctx)
		if err != nil {
			return nil, err
		}
		return s.Log(ctx, st.Floor, limit)
	}
	return log, err
}
