package postgres

import (
	"context"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dynconfig/dynconfig/core"
)

var _ core.Bus = (*Bus)(nil)

// Bus hears of commits through LISTEN: every batch that another node writes sends its head, in the same transaction.
type Bus struct {
	store  *Store
	config *pgx.ConnConfig
}

const (
	hintBacklog = 256             // hints that wait for a listener; the oldest are dropped
	quietFor    = 5 * time.Second // without a notification: ask whether the server is still there
	minPause    = 50 * time.Millisecond
	maxPause    = 2 * time.Second // between attempts to listen again
)

// Announce implements core.Bus. There is nothing to do: who commits has announced it.
func (b *Bus) Announce(ctx context.Context, _ core.Commit) error { return b.store.alive(ctx) }

// Listen implements core.Bus.
func (b *Bus) Listen(ctx context.Context) (<-chan core.Hint, error) {
	hints := make(chan core.Hint, hintBacklog)
	err := b.store.begin(ctx, func() {
		defer close(hints)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(b.store.ctx, cancel)()
		for pause := minPause; ctx.Err() == nil; pause = min(2*pause, maxPause) {
			if b.listen(ctx, hints) {
				pause = minPause
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause/2 + rand.N(pause/2)):
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return hints, nil
}

// listen passes on hints until the connection is cut or ctx ends, and reports whether there was one. Every connection
// begins with a hint of head 0: what came before it may have been missed.
func (b *Bus) listen(ctx context.Context, hints chan core.Hint) bool {
	conn, err := pgx.ConnectConfig(ctx, b.config)
	if err != nil {
		return false
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
		<-conn.PgConn().CleanupDone()
	}()
	if _, err := conn.Exec(ctx, "LISTEN dynconfig"); err != nil {
		return false
	}
	give(hints, core.Hint{})
	for {
		wait, cancel := context.WithTimeout(ctx, quietFor)
		n, err := conn.WaitForNotification(wait)
		cancel()
		switch {
		case err == nil:
			b.pass(hints, n.Payload)
		case wait.Err() == nil || ctx.Err() != nil:
			return true // it was cut, or nobody listens any longer
		default:
			ask, cancel := context.WithTimeout(ctx, b.store.timeout)
			err := conn.Ping(ask)
			cancel()
			if err != nil {
				return true
			}
		}
	}
}

// pass turns a notification, "node head", into a hint. What this node itself committed is no news.
func (b *Bus) pass(hints chan core.Hint, payload string) {
	node, text, _ := strings.Cut(payload, " ")
	head, err := strconv.ParseInt(text, 10, 64)
	if node != b.store.node && err == nil {
		give(hints, core.Hint{Head: core.Revision(head)})
	}
}

// give hands over a hint without waiting: a listener that is behind loses the oldest, which the newest makes superfluous.
func give(hints chan core.Hint, h core.Hint) {
	for {
		select {
		case hints <- h:
			return
		default:
		}
		select {
		case <-hints:
		default:
		}
	}
}
