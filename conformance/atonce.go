package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

// witness collects what several callers were told at the same time.
type witness struct {
	mu    sync.Mutex
	sent  map[string]core.Txn // by ID
	told  map[string]core.Commit
	held  map[string]*core.ConflictError
	pages []listing
}

type listing struct {
	query core.Query
	page  core.Page
}

// walkAtOnce lets four callers on two nodes commit and list at random, and then asks the oracle whether the log explains
// everything that they were told.
func walkAtOnce(t testing.TB, s *subject, seed uint64) {
	nodes := []*core.Backend{s.Backend, s.peer(t)}
	w := &witness{sent: map[string]core.Txn{}, told: map[string]core.Commit{}, held: map[string]*core.ConflictError{}}
	together(t, 4, func(i int) error {
		g := newGenerator(seed, uint64(10+i))
		for range steps / 4 {
			if err := w.step(t.Context(), g, nodes[i%2]); err != nil {
				return err
			}
		}
		return nil
	})
	w.explain(t, logAfter(t, s.Backend, 0, 1000))
}

func (w *witness) step(ctx context.Context, g *generator, b *core.Backend) error {
	page, err := b.Store.Get(ctx, modelKeys, 0)
	if err != nil {
		return fmt.Errorf("Get: %w", err)
	}
	w.saw(core.Query{Deleted: true}, page)
	state := map[core.Key]core.Entry{}
	for _, e := range page.Entries {
		state[e.Key] = e
	}
	tx := g.txn(state)
	w.mu.Lock()
	w.sent[tx.Meta.ID] = tx
	w.mu.Unlock()
	c, err := persist(ctx, b, tx)
	var held *core.ConflictError
	switch {
	case err == nil:
		w.mu.Lock()
		w.told[tx.Meta.ID] = c
		w.mu.Unlock()
	case errors.As(err, &held):
		w.mu.Lock()
		w.held[tx.Meta.ID] = held
		w.mu.Unlock()
	default:
		return fmt.Errorf("Commit: %w", err)
	}
	if g.IntN(3) > 0 {
		return nil
	}
	q := core.Query{From: g.bound(), To: g.bound(), Limit: g.IntN(5), NoValue: g.IntN(2) == 0, Deleted: g.IntN(2) == 0, AtLeast: c.Revision}
	if page, err = b.Store.List(ctx, q); err != nil {
		return fmt.Errorf("List(%+v): %w", q, err)
	}
	if page.Revision < c.Revision {
		return fmt.Errorf("List(%+v) is at revision %d", q, page.Revision)
	}
	w.saw(q, page)
	return nil
}

func (w *witness) saw(q core.Query, p core.Page) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pages = append(w.pages, listing{query: q, page: p})
}

// explain replays the log in the oracle.
func (w *witness) explain(t testing.TB, log []core.Commit) {
	t.Helper()
	m := &walk{t: t, o: newOracle()}
	logged := map[string]bool{}
	for _, c := range log {
		tx, ok := w.sent[c.Meta.ID]
		if !ok || logged[c.Meta.ID] {
			t.Errorf("commit %d has ID %q, which was sent: %v, and stands in the log already: %v", c.Revision, c.Meta.ID, ok, logged[c.Meta.ID])
			return
		}
		logged[c.Meta.ID] = true
		if held := m.o.conflict(tx, m.o.head()); held != nil {
			t.Errorf("commit %d should have been refused: %v", c.Revision, held)
		}
		m.timed(tx, c)
		meta := tx.Meta
		meta.Time = c.Meta.Time
		same(t, "a commit in the log", m.o.commit(tx, meta), c)
		if told, ok := w.told[c.Meta.ID]; ok {
			same(t, "a commit as answered and as logged", c, told)
		}
	}
	for id := range w.told {
		if !logged[id] {
			t.Errorf("%q was acknowledged and is not in the log", id)
		}
	}
	for id, held := range w.held {
		if logged[id] || held.Head > m.o.head() {
			t.Errorf("%q was refused at head %d; it is in the log: %v", id, held.Head, logged[id])
			continue
		}
		same(t, "a conflict, at its head", m.o.conflict(w.sent[id], held.Head), held)
	}
	for _, l := range w.pages {
		if l.page.Revision > m.o.head() {
			t.Errorf("a page is at revision %d, the log ends at %d", l.page.Revision, m.o.head())
			continue
		}
		m.listed(l.query, l.page)
	}
}
