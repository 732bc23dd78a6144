package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dynconfig/dynconfig/core"
)

// writer commits batches, one at a time. It remembers the head that it last saw and the entries as of then: as long as no
// other node writes, a batch is one statement, which proves that head at the very moment in which it matters.
type writer struct {
	store *Store

	known   bool // what follows holds
	head    core.Revision
	clock   time.Time
	entries *table
	others  bool // the last batch found that another node had written
}

// maxTries bounds how often a batch is tried anew because the database gave up on it.
const maxTries = 5

// batch commits transactions in order, each with its own answer. Where the database refuses the data of a batch, halves
// of it are tried, so that in the end the one is left out that is to blame.
func (w *writer) batch(ctx context.Context, txns []core.Txn) []core.Answer {
	var answers []core.Answer
	var err error
	for range maxTries {
		if answers, err = w.attempt(ctx, txns); err == nil {
			return answers
		}
		w.known = false
		lost := w.store.cut(err)
		if !errors.Is(err, errRaced) && !(lost && pgconn.SafeToRetry(err)) {
			break
		}
	}
	if len(txns) > 1 && (errors.Is(err, errData) || errors.Is(err, core.ErrTooLarge)) {
		half := len(txns) / 2
		return append(w.batch(ctx, txns[:half]), w.batch(ctx, txns[half:])...)
	}
	answers = make([]core.Answer, len(txns))
	for i := range answers {
		answers[i].Err = err
	}
	return answers
}

// attempt commits a batch over what is known, if that is enough, or else under the lock.
func (w *writer) attempt(ctx context.Context, txns []core.Txn) (answers []core.Answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, w.store.timeout)
	defer cancel()
	err = w.store.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		if err := w.store.follows(c); err != nil {
			return err
		}
		touched := core.Touched(txns...)
		if w.known && !w.others {
			if entries, ok := w.entries.collect(touched); ok {
				p := newPlan(w.head, w.clock, entries)
				answers = p.evaluate(txns, nil)
				if ok, err = w.optimistic(ctx, c, p); ok || err != nil {
					return err
				}
			}
		}
		answers, err = w.locked(ctx, c, txns, touched)
		return err
	})
	return answers, fault(err)
}

// optimistic writes a plan in one statement. It is not ok if it has to be worked out under the lock: another node has
// written, an ID is known, or there is nothing to write and what was refused has to be refused on a fresh view.
func (w *writer) optimistic(ctx context.Context, c *pgxpool.Conn, p *plan) (ok bool, err error) {
	if len(p.commits) == 0 || len(p.purged) > 0 {
		return false, nil
	}
	tag, err := c.Exec(ctx, writeSQL, p.args(w.store.node, p.ids)...)
	if err != nil || tag.RowsAffected() == 0 {
		return false, err
	}
	w.learn(p)
	return true, nil
}

// locked takes the lock, reads what the batch touches, evaluates, and writes.
func (w *writer) locked(ctx context.Context, c *pgxpool.Conn, txns []core.Txn, touched []core.Key) (answers []core.Answer, err error) {
	defer func() {
		if err != nil && !c.Conn().IsClosed() {
			_, _ = c.Exec(ctx, "ROLLBACK") // what failed is told already
		}
	}()
	before, known := w.head, w.known
	entries, repeated, err := w.load(ctx, c, txns, touched)
	if err != nil {
		return nil, err
	}
	w.others = known && w.head != before
	p := newPlan(w.head, w.clock, entries)
	answers = p.evaluate(txns, repeated)
	if len(p.commits) == 0 {
		_, err := c.Exec(ctx, "ROLLBACK")
		return answers, err
	}
	b := &pgx.Batch{}
	if len(p.purged) > 0 {
		keys := encodeKeys(p.purged)
		b.Queue(hideSQL, keys)
		b.Queue(purgeSQL, keys)
	}
	b.Queue(writeSQL, p.args(w.store.node, nil)...)
	b.Queue("COMMIT")
	if err := c.SendBatch(ctx, b).Close(); err != nil {
		return nil, err
	}
	w.learn(p)
	return answers, nil
}

// load begins a transaction, takes the lock, and reads: the head, the entries of the keys touched, and the commits that
// transactions repeat, by their IDs.
func (w *writer) load(ctx context.Context, c *pgxpool.Conn, txns []core.Txn, touched []core.Key) (entries []core.Entry, repeated map[string]core.Commit, err error) {
	var head core.Revision
	var clock *time.Time
	ids := map[core.Revision]string{}
	b := &pgx.Batch{}
	b.Queue("BEGIN")
	b.Queue(lockSQL).QueryRow(func(row pgx.Row) error { return row.Scan(&head, &clock) })
	b.Queue(headsSQL, encodeKeys(touched)).Query(func(rows pgx.Rows) error {
		entries, err = scanHeads(rows)
		return err
	})
	b.Queue(repeatedSQL, idsOf(txns), core.KeepIDs).Query(func(rows pgx.Rows) error {
		var id string
		var revision core.Revision
		_, err := pgx.ForEachRow(rows, []any{&id, &revision}, func() error {
			ids[revision] = decodeText(id)
			return nil
		})
		return err
	})
	if err := c.SendBatch(ctx, b).Close(); err != nil {
		return nil, nil, err
	}
	if !w.known || head != w.head {
		w.entries = newTable()
	}
	w.known, w.head, w.clock = true, head, time.Time{}
	if clock != nil {
		w.clock = clock.UTC()
	}
	found := map[core.Key]bool{}
	for _, e := range entries {
		w.entries.put(e)
		found[e.Key] = true
	}
	for _, k := range touched {
		if !found[k] {
			w.entries.put(core.Entry{Key: k})
		}
	}
	repeated, err = repeats(ctx, c, ids)
	return entries, repeated, err
}

// repeats reads the commits of revisions, by the IDs that they had.
func repeats(ctx context.Context, c *pgxpool.Conn, ids map[core.Revision]string) (map[string]core.Commit, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	revisions := make([]int64, 0, len(ids))
	for r := range ids {
		revisions = append(revisions, int64(r))
	}
	_, commits, err := queryCommits(ctx, c, commitsSQL, revisions)
	byID := make(map[string]core.Commit, len(commits))
	for _, commit := range commits {
		byID[ids[commit.Revision]] = commit
	}
	return byID, err
}

// learn makes what a plan wrote known.
func (w *writer) learn(p *plan) {
	w.known = true
	w.head, w.clock = p.overlay.Head()
	present, gone := p.overlay.Entries()
	for _, e := range present {
		before, _ := w.entries.get(e.Key)
		e.Doc.ACL = ownACL(e.Doc.ACL, before.Doc.ACL)
		w.entries.put(e)
	}
	for _, k := range gone {
		w.entries.put(core.Entry{Key: k})
	}
}
