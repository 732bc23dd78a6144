package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/jackc/pgx/v5"
)

// propagate measures how long a PUT on one node takes to a watcher on the other: idle, and beside 1,000 writes a second.
// The counterpart is the least that must happen: a row is written to Postgres, then its value goes through Redis.
func (b *bencher) propagate(ctx context.Context) error {
	one, two, err := b.pair(ctx)
	if err != nil {
		return err
	}
	idle, err := b.hops(ctx, one, two, 20*time.Millisecond)
	if err != nil {
		return err
	}
	bare, err := b.bareHops(ctx)
	if err != nil {
		return err
	}
	b.hopRow("PUT on node A till a watcher on node B hears", idle, bare, "p99 < 20 ms")

	const rate, writers = 1000, 8
	busy, stop := context.WithCancel(ctx)
	var writing sync.WaitGroup
	var written sample
	var mu sync.Mutex
	var first error
	begin := time.Now()
	for w := range writers {
		writing.Go(func() {
			took, err := paced(busy, one.host(), request("PUT", one.host(), fmt.Sprintf("/keys/bench.noise.k%d", w), b.admin, value), writers*time.Second/rate)
			mu.Lock()
			defer mu.Unlock()
			written.took = append(written.took, took...)
			first = errors.Join(first, err)
		})
	}
	loaded, err := b.hops(ctx, one, two, 5*time.Millisecond)
	stop()
	writing.Wait()
	written.over = time.Since(begin)
	if err := errors.Join(err, first); err != nil {
		return err
	}
	b.hopRow(fmt.Sprintf("  beside %.0f writes/s", written.rate()), loaded, bare, "p99 < 100 ms")
	return nil
}

func (b *bencher) hopRow(name string, ours, bare sample, aim string) {
	b.rows = append(b.rows, row{
		name: name, than: "upsert and PUBLISH by hand", aim: aim, ours: ours.cells(), other: bare.cells(),
		ratio: fmt.Sprintf("p50 %.2f, p99 %.2f", float64(ours.at(.5))/float64(bare.at(.5)), float64(ours.at(.99))/float64(bare.at(.99))),
	})
}

// hops writes a key again and again on one node, with pauses, and returns how long it took until the other told a watcher.
func (b *bencher) hops(ctx context.Context, one, two *child, pause time.Duration) (sample, error) {
	watch := newCrowd(two.host())
	defer watch.close()
	put, err := dial(one.host())
	if err != nil {
		return sample{}, err
	}
	defer func() { _ = put.conn.Close() }()
	if err := put.do(request("PUT", one.host(), "/keys/bench.hop", b.admin, `{"value":0}`)); err != nil {
		return sample{}, err
	}
	if err := watch.grow(1, b.admin, func(int) string { return "?subscribe=bench.hop" }); err != nil {
		return sample{}, err
	}
	time.Sleep(settle / 3)
	var s sample
	for i := range 100*b.turns + 20 {
		took, err := watch.round(ctx, 1, func() error {
			return put.do(request("PUT", one.host(), "/keys/bench.hop", b.admin, fmt.Sprintf(`{"value":%d}`, time.Now().UnixNano())))
		})
		if err != nil {
			return s, err
		}
		if i >= 20 {
			s.took = append(s.took, took...)
		}
		time.Sleep(pause)
	}
	return s, nil
}

// bareHops does by hand what a write must at least do to reach another process.
func (b *bencher) bareHops(ctx context.Context) (s sample, err error) {
	conn, err := pgx.Connect(ctx, b.shared.postgres.URL(b.shared.database))
	if err != nil {
		return s, err
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, `CREATE TABLE IF NOT EXISTS hop (key text PRIMARY KEY, value bytea)`); err != nil {
		return s, err
	}
	r := redis.NewClient(&redis.Options{Addr: b.shared.redis.Addr, Protocol: 2})
	defer func() { _ = r.Close() }()
	sub := r.Subscribe(ctx, "hop")
	defer func() { _ = sub.Close() }()
	if _, err := sub.Receive(ctx); err != nil {
		return s, err
	}
	for range 100 * b.turns {
		begin := time.Now()
		if _, err := conn.Exec(ctx, `INSERT INTO hop VALUES ('hop', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, []byte(value)); err != nil {
			return s, err
		}
		if err := r.Publish(ctx, "hop", value).Err(); err != nil {
			return s, err
		}
		if _, err := sub.ReceiveMessage(ctx); err != nil {
			return s, err
		}
		s.took = append(s.took, time.Since(begin))
		time.Sleep(20 * time.Millisecond)
	}
	return s, nil
}

// paced sends a request once in so often until ctx ends.
func paced(ctx context.Context, host string, req []byte, every time.Duration) ([]time.Duration, error) {
	r, err := dial(host)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.conn.Close() }()
	var took []time.Duration
	for due := time.Now(); ; due = due.Add(every) {
		select {
		case <-ctx.Done():
			return took, nil
		case <-time.After(time.Until(due)):
		}
		begin := time.Now()
		if err := r.do(req); err != nil {
			return took, err
		}
		took = append(took, time.Since(begin))
	}
}
