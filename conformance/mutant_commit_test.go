package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// eachOp changes the operations of every transaction before they arrive.
func eachOp(change func(op *core.Op)) func() func(*core.Backend) {
	return eachTxn(func(txn *core.Txn) {
		txn.Ops = slices.Clone(txn.Ops)
		for i := range txn.Ops {
			change(&txn.Ops[i])
		}
	})
}

func eachTxn(change func(txn *core.Txn)) func() func(*core.Backend) {
	return patch(patched{commit: func(ctx context.Context, s core.Store, txn core.Txn) (core.Commit, error) {
		change(&txn)
		return s.Commit(ctx, txn)
	}})
}

// eachCommit changes what Commit answers.
func eachCommit(change func(txn core.Txn, c *core.Commit)) func() func(*core.Backend) {
	return patch(patched{commit: func(ctx context.Context, s core.Store, txn core.Txn) (core.Commit, error) {
		c, err := s.Commit(ctx, txn)
		if err == nil {
			change(txn, &c)
		}
		return c, err
	}})
}

// eachEntry changes the entries of every page.
func eachEntry(change func(e *core.Entry)) func() func(*core.Backend) {
	return patch(patched{page: func(p core.Page) core.Page {
		for i := range p.Entries {
			change(&p.Entries[i])
		}
		return p
	}})
}

// dropEntries leaves entries out of every page.
func dropEntries(drop func(e core.Entry) bool) func() func(*core.Backend) {
	return patch(patched{page: func(p core.Page) core.Page {
		p.Entries = slices.DeleteFunc(p.Entries, drop)
		return p
	}})
}

var commitMutants = []mutant{
	{"drops every fifth commit from the log", "the log holds every commit whole, in order", eachLog(func(log []core.Commit) []core.Commit {
		return slices.DeleteFunc(log, func(c core.Commit) bool { return c.Revision%5 == 0 })
	})},
	{"begins with a commit of its own", "the first revision is one", func() func(*core.Backend) {
		return func(b *core.Backend) { _, _ = b.Store.Commit(context.Background(), core.Txn{}) }
	}},
	{"numbers from a sequence with gaps", "revisions are dense under 8 writers on two nodes", eachCommit(func(_ core.Txn, c *core.Commit) { c.Revision *= 2 })},
	{"lets only one writer in at a time", "64 unconditional writers of one key all succeed", func() func(*core.Backend) {
		var busy sync.Mutex
		refused := newMeeting(1)
		return patched{commit: func(ctx context.Context, s core.Store, txn core.Txn) (core.Commit, error) {
			if !busy.TryLock() {
				refused.come()
				return core.Commit{}, core.Errorf(core.ErrConflict, "Somebody else is writing")
			}
			defer busy.Unlock()
			<-refused.all // the first waits for somebody to refuse
			return s.Commit(ctx, txn)
		}}.infect
	}},
	{"forgets what a key was before", "a commit says what each key became and what it was", eachCommit(func(_ core.Txn, c *core.Commit) {
		for i := range c.Changes {
			c.Changes[i].Was = core.Was{}
		}
	})},
	{"does not number a commit without changes", "an op that finds nothing to do leaves no change", eachCommit(func(_ core.Txn, c *core.Commit) {
		if len(c.Changes) == 0 {
			c.Revision--
		}
	})},
	{"loses tombstones", "the version continues after delete and re-create", eachOp(func(op *core.Op) {
		if op.Do == core.OpDelete {
			op.Do = core.OpPurge
		}
	})},
	{"leaves a tombstone when it purges", "a purged key begins anew", eachOp(func(op *core.Op) {
		if op.Do == core.OpPurge {
			op.Do = core.OpDelete
		}
	})},
	{"counts versions by itself", "an op that names a version gives it to the entry", eachOp(func(op *core.Op) { op.Version = 0 })},
	{"deletes only what is live", "an op that names a version gives it to the entry", eachOp(func(op *core.Op) {
		if op.Do == core.OpDelete {
			op.Version = 0
		}
	})},
	{"forgets the ACL of a tombstone", "a tombstone keeps the ACL and no value", eachEntry(func(e *core.Entry) {
		if e.Deleted {
			e.Doc.ACL = nil
		}
	})},
	{"keeps values as JSON of its own spelling", "a document comes back as it was put", eachOp(func(op *core.Op) {
		var text bytes.Buffer
		if json.Compact(&text, op.Doc.Value) == nil {
			op.Doc.Value = text.Bytes()
		}
	})},
	{"takes an empty list for none", "a document comes back as it was put", eachEntry(func(e *core.Entry) {
		if a := e.Doc.ACL; a != nil && len(a.Write) == 0 {
			e.Doc.ACL = &core.ACL{Read: a.Read, Admin: a.Admin}
		}
	})},
	{"hides what has expired", "an entry past its expiry stays until somebody deletes it", dropEntries(func(e core.Entry) bool {
		return !e.Doc.Expires.IsZero() && e.Doc.Expires.Before(time.Now())
	})},
	{"takes the time as it comes", "time never goes back and is UTC in microseconds", eachCommit(func(txn core.Txn, c *core.Commit) { c.Meta.Time = txn.Meta.Time })},
	{"sorts the keys of its caller", "arguments are not kept and results belong to the caller", patch(patched{get: func(ctx context.Context, s core.Store, keys []core.Key, atLeast core.Revision) (core.Page, error) {
		slices.Sort(keys)
		return s.Get(ctx, keys, atLeast)
	}})},
	{"answers everybody with the same slice", "arguments are not kept and results belong to the caller", func() func(*core.Backend) {
		var mu sync.Mutex
		answers := map[core.Revision][]core.Commit{}
		return patched{log: func(ctx context.Context, s core.Store, after core.Revision, limit int) ([]core.Commit, error) {
			mu.Lock()
			defer mu.Unlock()
			if answers[after] == nil {
				log, err := s.Log(ctx, after, limit)
				if err != nil {
					return nil, err
				}
				answers[after] = log
			}
			return answers[after], nil
		}}.infect
	}},
	{"commits a repeat again", "a repeated ID returns the first commit", otherIDs(func(n int) string { return strconv.Itoa(n) })},
	{"knows IDs on one node alone", "a repeated ID returns the first commit through a peer", idsOfHandle},
	{"forgets IDs in a restart", "a repeated ID returns the first commit after a restart", idsOfHandle},
	{"forgets IDs in a compaction", "a repeated ID returns the first commit after compaction", func() func(*core.Backend) {
		compactions := 0
		return patched{
			compact: func(ctx context.Context, s core.Store, upTo core.Revision, keep int) error {
				compactions++
				return s.Compact(ctx, upTo, keep)
			},
			commit: func(ctx context.Context, s core.Store, txn core.Txn) (core.Commit, error) {
				return commitAs(ctx, s, txn, txn.Meta.ID+strconv.Itoa(compactions))
			},
		}.infect
	}},
	{"looks for an ID before it takes its turn", "racing repeats of an ID make one commit", func() func(*core.Backend) {
		var known, meetings sync.Map // by ID
		var made counter
		return patched{commit: func(ctx context.Context, s core.Store, txn core.Txn) (core.Commit, error) {
			if c, ok := known.Load(txn.Meta.ID); ok {
				return c.(core.Commit), nil
			}
			both, _ := meetings.LoadOrStore(txn.Meta.ID, newMeeting(2))
			both.(*meeting).come()
			<-both.(*meeting).all // each ID is sent more than once
			c, err := commitAs(ctx, s, txn, txn.Meta.ID+strconv.Itoa(made.next()))
			if err == nil {
				known.Store(txn.Meta.ID, c)
			}
			return c, err
		}}.infect
	}},
	{"remembers the ID of what it refused", "the ID of a refused transaction is free", func() func(*core.Backend) {
		var refused sync.Map
		return patched{commit: func(ctx context.Context, s core.Store, txn core.Txn) (core.Commit, error) {
			if err, ok := refused.Load(txn.Meta.ID); ok {
				return core.Commit{}, err.(error)
			}
			c, err := s.Commit(ctx, txn)
			if err != nil {
				refused.Store(txn.Meta.ID, err)
			}
			return c, err
		}}.infect
	}},
	{"takes all commits without an ID for one", "a commit without an ID is never a repeat", eachTxn(func(txn *core.Txn) {
		if txn.Meta.ID == "" {
			txn.Meta.ID = "none"
		}
	})},
}

// meeting is where a race is made certain: all is closed when so many have come.
type meeting struct {
	missing atomic.Int64
	all     chan struct{}
}

func newMeeting(of int64) *meeting {
	m := &meeting{all: make(chan struct{})}
	m.missing.Store(of)
	return m
}

func (m *meeting) come() {
	if m.missing.Add(-1) == 0 {
		close(m.all)
	}
}

// soon waits a little until something holds, where nobody can say whether it ever will.
func soon(holds func() bool) {
	for end := time.Now().Add(5 * time.Millisecond); !holds() && time.Now().Before(end); {
		runtime.Gosched()
	}
}

// moves waits a little until there is another commit after a revision.
func moves(ctx context.Context, s core.Store, after core.Revision) {
	soon(func() bool {
		r, err := s.Sync(ctx)
		return err != nil || r > after
	})
}

type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) next() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.n
}

// commitAs commits under another ID than it says.
func commitAs(ctx context.Context, s core.Store, txn core.Txn, id string) (core.Commit, error) {
	said := txn.Meta.ID
	txn.Meta.ID = id
	c, err := s.Commit(ctx, txn)
	c.Meta.ID = said
	return c, err
}

// otherIDs adds what of returns for the number of the call to each ID.
func otherIDs(of func(n int) string) func() func(*core.Backend) {
	return func() func(*core.Backend) {
		var calls counter
		return patched{commit: func(ctx context.Context, s core.Store, txn core.Txn) (core.Commit, error) {
			return commitAs(ctx, s, txn, txn.Meta.ID+of(calls.next()))
		}}.infect
	}
}

func idsOfHandle() func(*core.Backend) {
	var handles counter
	return func(b *core.Backend) {
		own := strconv.Itoa(handles.next())
		patched{commit: func(ctx context.Context, s core.Store, txn core.Txn) (core.Commit, error) {
			return commitAs(ctx, s, txn, txn.Meta.ID+own)
		}}.infect(b)
	}
}
