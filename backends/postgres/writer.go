package postgres

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dynconfig/dynconfig/core"
)

// writer commits batches, one at a time, each in one transaction of the database: a first round trip takes the lock of all
// nodes and reads what the batch touches, a second one writes and commits. Remembering entries from batch to batch, so that
// one node alone could do without the first, was tried and made no difference beside the disk.
type writer struct{ store *Store }

// maxTries bounds how often a batch is tried anew because the database gave up on it.
const maxTries = 5

// batch commits transactions in order, each with its own answer. Where the database refuses the data of a batch, halves
// of it are tried, so that in the end the one is left out that is to blame.
func (w writer) batch(ctx context.Context, txns []core.Txn) []core.Answer {
	var answers []core.Answer
	var err error
	for range maxTries {
		if answers, err = w.attempt(ctx, txns); err == nil {
			return answers
		}
		if lost := w.store.cut(err); !errors.Is(err, errRaced) && !(lost && errors.Is(err, errBefore)) {
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

// attempt evaluates a batch under the lock, and writes it.
func (w writer) attempt(ctx context.Context, txns []core.Txn) (answers []core.Answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, w.store.timeout)
	defer cancel()
	err = w.store.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) (err error) {
		if err := w.store.follows(c); err != nil {
			return err
		}
		defer func() {
			if err != nil && !c.Conn().IsClosed() {
				_, _ = c.Exec(ctx, "ROLLBACK") // what failed is told already
			}
		}()
		p, err := load(ctx, c, txns)
		if err != nil {
			return errors.Join(errBefore, err)
		}
		answers = p.evaluate(txns)
		if len(p.commits) == 0 {
			_, err := c.Exec(ctx, "ROLLBACK")
			return err
		}
		return p.write(ctx, c, w.store.node)
	})
	return answers, fault(err)
}

// load begins a transaction, takes the lock, and reads: the head, the entries of the keys touched, and the commits that
// transactions repeat, by their IDs.
func load(ctx context.Context, c *pgxpool.Conn, txns []core.Txn) (*plan, error) {
	var head core.Revision
	var clock *time.Time
	var entries []core.Entry
	ids := map[core.Revision]string{}
	b := &pgx.Batch{}
	b.Queue("BEGIN")
	b.Queue(lockSQL).QueryRow(func(row pgx.Row) error { return row.Scan(&head, &clock) })
	b.Queue(headsSQL, encodeKeys(core.Touched(txns...))).Query(func(rows pgx.Rows) (err error) {
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
		return nil, err
	}
	repeated, err := repeats(ctx, c, ids)
	return &plan{repeated: repeated, overlay: core.NewOverlay(head, utc(clock), entries)}, err
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

// write writes a plan and commits.
func (p *plan) write(ctx context.Context, c *pgxpool.Conn, node string) error {
	head, clock := p.overlay.Head()
	notice := ""
	if node != "" {
		notice = node + " " + strconv.FormatInt(int64(head), 10)
	}
	b := &pgx.Batch{}
	if len(p.purged) > 0 {
		keys := encodeKeys(p.purged)
		b.Queue(hideSQL, keys)
		b.Queue(purgeSQL, keys)
	}
	b.Queue(writeSQL, append([]any{int64(head), clock, notice}, p.columns().args()...)...)
	b.Queue("COMMIT")
	return c.SendBatch(ctx, b).Close()
}
