package conformance

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// RunModel walks a store at random and compares each answer with a naive oracle's: on one node, on two in turn, and on two
// at once, where the log afterwards says in which order the oracle has to look at what happened.
func RunModel(t *testing.T, open Opener, o Options) {
	for _, m := range walks {
		t.Run(m.name, func(t *testing.T) {
			seeds(t, time.Second, 1, func(seed uint64) {
				t.Run("", func(t *testing.T) { m.walk(t, newSubject(t, open, o), seed) })
			})
		})
	}
}

var walks = []struct {
	name string
	walk func(t testing.TB, s *subject, seed uint64)
}{
	{"one node answers as the oracle does", func(t testing.TB, s *subject, seed uint64) { walkInTurn(t, s, seed, s.Backend) }},
	{"two nodes in turn answer as the oracle does", func(t testing.TB, s *subject, seed uint64) { walkInTurn(t, s, seed, s.Backend, s.peer(t)) }},
	{"two nodes at once leave a log that explains each answer", walkAtOnce},
}

const steps = 250

// walk is one random walk of a store and its oracle.
type walk struct {
	t      testing.TB
	g      *generator
	o      *oracle
	sent   []core.Txn // those that committed, by revision from 1
	answer []core.Commit
}

func walkInTurn(t testing.TB, s *subject, seed uint64, nodes ...*core.Backend) {
	w := &walk{t: t, g: newGenerator(seed, uint64(len(nodes))), o: newOracle()}
	for range steps {
		b := nodes[w.g.IntN(len(nodes))]
		switch w.g.IntN(12) {
		case 0:
			w.get(b)
		case 1, 2:
			w.list(b)
		case 3:
			w.log(b)
		case 4:
			w.history(b)
		case 5:
			w.repeat(b)
		case 6:
			w.rare(s, b, nodes)
		default:
			w.commit(b)
		}
		if t.Failed() {
			return
		}
	}
}

func (w *walk) commit(b *core.Backend) {
	tx := w.g.txn(w.o.states[w.o.head()])
	got, err := persist(w.t.Context(), b, tx)
	if want := w.o.conflict(tx, w.o.head()); want != nil {
		var held *core.ConflictError
		if !errors.As(err, &held) {
			w.t.Errorf("%+v is answered (%+v, %v), want %v", tx, got, err, want)
			return
		}
		same(w.t, "the conflict", want, held)
		return
	}
	if err != nil {
		w.t.Errorf("%+v is refused: %v", tx, err)
		return
	}
	w.timed(tx, got)
	want := tx.Meta
	want.Time = got.Meta.Time
	same(w.t, "the commit", w.o.commit(tx, want), got)
	w.sent, w.answer = append(w.sent, tx), append(w.answer, got)
}

// timed demands that a commit's time is neither before the last one's nor before what was asked.
func (w *walk) timed(tx core.Txn, got core.Commit) {
	if got.Meta.Time.Before(tx.Meta.Time) || w.o.head() > 0 && got.Meta.Time.Before(w.o.commits[w.o.head()-1].Meta.Time) {
		w.t.Errorf("commit %d, sent at %v, has time %v", got.Revision, tx.Meta.Time, got.Meta.Time)
	}
}

func (w *walk) repeat(b *core.Backend) {
	if len(w.sent) == 0 {
		return
	}
	i := w.g.IntN(len(w.sent))
	got, err := persist(w.t.Context(), b, w.sent[i])
	if err != nil {
		w.t.Errorf("the repeat of %+v is refused: %v", w.sent[i], err)
		return
	}
	same(w.t, "the answer to a repeat", w.answer[i], got)
}

func (w *walk) get(b *core.Backend) {
	var keys []core.Key
	want := core.Page{Revision: w.o.head()}
	for _, k := range w.g.Perm(len(modelKeys))[:w.g.IntN(len(modelKeys)+1)] {
		keys = append(keys, modelKeys[k])
	}
	for _, key := range modelKeys { // which are in order
		if e, ok := w.o.states[w.o.head()][key]; ok && slices.Contains(keys, key) {
			want.Entries = append(want.Entries, e)
		}
	}
	same(w.t, "the page of keys", want, getMany(w.t, b, keys, w.o.head()))
}

func (w *walk) list(b *core.Backend) {
	q := core.Query{
		From: w.g.bound(), To: w.g.bound(), Limit: w.g.IntN(5), NoValue: w.g.IntN(2) == 0, Deleted: w.g.IntN(2) == 0,
		AtLeast: core.Revision(w.g.Int64N(int64(w.o.head()) + 1)),
	}
	if w.g.IntN(2) == 0 {
		q.AtLeast = w.o.head()
	}
	got := list(w.t, b, q)
	if got.Revision > w.o.head() {
		w.t.Errorf("at head %d, a page is at %d", w.o.head(), got.Revision)
		return
	}
	w.listed(q, got)
}

// listed demands that a page is what the oracle lists at its revision.
func (w *walk) listed(q core.Query, got core.Page) {
	want, hidden := w.o.list(q, got.Revision)
	n := len(want)
	if q.Limit > 0 {
		n = min(n, q.Limit)
	}
	same(w.t, "the page of a range", want[:n], got.Entries)
	if more := n < len(want); more && !got.More || !more && got.More && !hidden {
		w.t.Errorf("List(%+v) says more: %v, of %d entries it gives %d", q, got.More, len(want), n)
	}
}

func (w *walk) log(b *core.Backend) {
	from := core.Revision(w.g.Int64N(int64(w.o.head()) + 2))
	limit := 1 + w.g.IntN(20)
	got, err := b.Store.Log(w.t.Context(), from, limit)
	switch {
	case from < w.o.floor:
		if !errors.Is(err, core.ErrCompacted) {
			w.t.Errorf("Log(after %d) below the floor %d is answered with %d commits, %v", from, w.o.floor, len(got), err)
		}
	case err != nil:
		w.t.Errorf("Log(after %d): %v", from, err)
	default:
		rest := w.o.commits[min(from, w.o.head()):]
		if len(got) > limit || len(got) == 0 && len(rest) > 0 || len(got) > len(rest) {
			w.t.Errorf("Log(after %d, limit %d) gives %d commits of %d", from, limit, len(got), len(rest))
			return
		}
		same(w.t, "the log", rest[:len(got)], got)
	}
}

func (w *walk) history(b *core.Backend) {
	key, before := w.g.key(), core.Revision(w.g.Int64N(int64(w.o.head())+2))
	got, err := b.Store.History(w.t.Context(), key, before, 2*steps)
	if err != nil {
		w.t.Errorf("History(%q): %v", key, err)
		return
	}
	var want []core.Record
	for _, r := range w.o.history[key] {
		if before == 0 || r.Revision < before {
			want = append(want, r)
		}
	}
	same(w.t, "the history", want, got)
}

// rare does what happens now and then: compaction, a restart, a kill.
func (w *walk) rare(s *subject, b *core.Backend, nodes []*core.Backend) {
	switch w.g.IntN(12) {
	case 0, 1, 2:
		upTo, keep := w.o.floor+core.Revision(w.g.Int64N(int64(w.o.head()-w.o.floor)+1)), w.g.IntN(4)
		compact(w.t, b, upTo, keep)
		w.o.compact(upTo, keep)
	case 3:
		if s.o.Reopen != nil && len(nodes) == 1 {
			s.reopen(w.t)
			b, nodes[0] = s.Backend, s.Backend
		}
	case 4:
		if s.o.Break != nil {
			s.shake(w.t)
		}
	}
	var r core.Revision
	if err := insist(w.t.Context(), func() (err error) { r, err = b.Store.Sync(w.t.Context()); return err }); err != nil || r != w.o.head() {
		w.t.Errorf("Sync is (%d, %v), want %d", r, err, w.o.head())
	}
	if st := status(w.t, b); st.Head != w.o.head() || st.Floor != w.o.floor {
		w.t.Errorf("head and floor are %d and %d, want %d and %d", st.Head, st.Floor, w.o.head(), w.o.floor)
	}
}
