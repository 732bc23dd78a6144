package main

import (
	"context"
	"fmt"
	"time"
)

// layers reads every key once on nodes that have just started, one reader at a time: the first node finds the values in
// Postgres and leaves them in Redis, where the second finds them; the third row reads what that holds by then.
func (b *bencher) layers(ctx context.Context) error {
	one, _, err := b.pair(ctx)
	if err != nil {
		return err
	}
	keys := 400 * b.turns
	key := func(i int) string { return fmt.Sprintf("/keys/bench.layer.k%d", i) }
	if _, err := each(ctx, one.host(), keys, func(i int) []byte { return request("PUT", one.host(), key(i), b.admin, value) }); err != nil {
		return err
	}
	first, err := b.node()
	if err != nil {
		return err
	}
	second, err := b.node()
	if err != nil {
		return err
	}
	var took [3]sample
	for i, n := range []*child{first, second, second} {
		read := func(i int) []byte { return request("GET", n.host(), key(i), b.admin, "") }
		warm := request("GET", n.host(), "/keys/bench.layer.k0", b.admin, "")
		if _, err := each(ctx, n.host(), 200, func(int) []byte { return warm }); err != nil {
			return err
		}
		if took[i], err = each(ctx, n.host(), keys, read); err != nil {
			return err
		}
		time.Sleep(settle / 3) // what it found goes to Redis
	}
	for i, name := range []string{"GET of what is in Postgres alone", "GET of what is in Redis", "GET of what is in the process"} {
		b.rows = append(b.rows, row{
			name: name, than: "in the process", ours: took[i].cells(), other: took[2].cells(),
			ratio: fmt.Sprintf("p50 %.2f, p99 %.2f", float64(took[i].at(.5))/float64(took[2].at(.5)), float64(took[i].at(.99))/float64(took[2].at(.99))),
		})
	}
	return nil
}

// each sends n requests one after the other.
func each(ctx context.Context, host string, n int, req func(i int) []byte) (s sample, err error) {
	r, err := dial(host)
	if err != nil {
		return s, err
	}
	defer func() { _ = r.conn.Close() }()
	begin := time.Now()
	for i := range n {
		sent := time.Now()
		if err := r.do(req(i)); err != nil {
			return s, err
		}
		s.took = append(s.took, time.Since(sent))
		if ctx.Err() != nil {
			return s, ctx.Err()
		}
	}
	s.over = time.Since(begin)
	return s, nil
}
