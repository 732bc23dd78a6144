package conformance

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/dynconfig/dynconfig/core"
)

// eachCheck changes the checks of every transaction; those that are left empty always hold.
func eachCheck(change func(c *core.Check)) func() func(*core.Backend) {
	return eachTxn(func(txn *core.Txn) {
		txn.Checks = slices.Clone(txn.Checks)
		for i := range txn.Checks {
			change(&txn.Checks[i])
		}
	})
}

// onRefusal does something to the store after it refused a transaction.
func onRefusal(do func(s core.Store, txn core.Txn)) func() func(*core.Backend) {
	return patch(patched{commit: func(ctx context.Context, s core.Store, txn core.Txn) (core.Commit, error) {
		c, err := s.Commit(ctx, txn)
		if errors.Is(err, core.ErrConflict) {
			do(s, txn)
		}
		return c, err
	}})
}

var checkMutants = []mutant{
	{"ignores version checks", "a version check holds for that version alone", eachCheck(func(c *core.Check) { c.Version = nil })},
	{"ignores rules checks", "a rules check fails after an ACL change, not after a value change", eachCheck(func(c *core.Check) { c.Rules = nil })},
	{"takes a tombstone for nothing", "version 0 means that there is no entry, not even a tombstone", patch(patched{
		commit: func(ctx context.Context, s core.Store, txn core.Txn) (core.Commit, error) {
			checks := slices.Clone(txn.Checks)
			for i, c := range checks {
				page, err := s.Get(ctx, []core.Key{c.Key}, 0)
				if err == nil && len(page.Entries) == 1 && page.Entries[0].Deleted && c.Version != nil && *c.Version == 0 {
					checks[i].Version = nil
				}
			}
			txn.Checks = checks
			return s.Commit(ctx, txn)
		},
	})},
	{"writes a part before it notices a conflict", "all checks hold or nothing changes", onRefusal(func(s core.Store, txn core.Txn) {
		if len(txn.Ops) > 0 {
			_, _ = s.Commit(context.Background(), core.Txn{Ops: txn.Ops[:1]})
		}
	})},
	{"uses a number up for what it refuses", "all checks hold or nothing changes", onRefusal(func(s core.Store, _ core.Txn) {
		_, _ = s.Commit(context.Background(), core.Txn{})
	})},
	{"does not say what it holds instead", "a conflict names what is held", patch(patched{
		commit: func(ctx context.Context, s core.Store, txn core.Txn) (core.Commit, error) {
			c, err := s.Commit(ctx, txn)
			var held *core.ConflictError
			if errors.As(err, &held) {
				err = &core.ConflictError{Key: held.Key, Head: held.Head}
			}
			return c, err
		},
	})},
	{"checks first and acts later", "one writer wins a contested version", func() func(*core.Backend) {
		var between atomic.Int64
		return patched{commit: func(ctx context.Context, s core.Store, txn core.Txn) (core.Commit, error) {
			for _, c := range txn.Checks {
				page, err := s.Get(ctx, []core.Key{c.Key}, 0)
				if err != nil {
					return core.Commit{}, err
				}
				var held core.Entry
				if len(page.Entries) == 1 {
					held = page.Entries[0]
				}
				if c.Version != nil && *c.Version != held.Version {
					return core.Commit{}, &core.ConflictError{Key: c.Key, Version: held.Version, Rules: held.Rules, Head: page.Revision}
				}
			}
			if len(txn.Checks) > 0 {
				between.Add(1)
				defer between.Add(-1)
				soon(func() bool { return between.Load() > 1 })
			}
			txn.Checks = nil
			return s.Commit(ctx, txn)
		}}.infect
	}},
	{"lets the last of two operations win", "a key stands once in a transaction", eachTxn(func(txn *core.Txn) {
		last := map[core.Key]core.Op{}
		for _, op := range txn.Ops {
			last[op.Key] = op
		}
		txn.Ops = nil
		for _, op := range last {
			txn.Ops = append(txn.Ops, op)
		}
	})},
	{"has smaller limits than every backend has", "limits are at least those of every backend", limited(func(l *core.Limits) { l.MaxOps = core.MinOps - 1 })},
	{"keeps its peers a secret", "a backend that several nodes may open says so", limited(func(l *core.Limits) { l.Shared = false })},
	{"says that it takes more than it does", "the largest transaction is taken", limited(func(l *core.Limits) { l.MaxOps *= 2 })},
	{"takes more than it says", "a larger transaction is too large and changes nothing", limited(func(l *core.Limits) { l.MaxOps = core.MinOps })},
	{"has no room for what encryption adds", "the largest entry is taken", patch(patched{
		commit: func(ctx context.Context, s core.Store, txn core.Txn) (core.Commit, error) {
			for _, op := range txn.Ops {
				if len(op.Doc.Value) > core.MaxValue {
					return core.Commit{}, core.Errorf(core.ErrTooLarge, "Value is too large")
				}
			}
			return s.Commit(ctx, txn)
		},
	})},
}

func limited(change func(l *core.Limits)) func() func(*core.Backend) {
	return func() func(*core.Backend) { return func(b *core.Backend) { change(&b.Limits) } }
}
