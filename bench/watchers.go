package main

import (
	"context"
	"fmt"
	"time"
)

// deliver sends one change at a time to a crowd, beside a bare broadcast of the same frame to as many.
func (b *bencher) deliver(ctx context.Context) error {
	ours, bare := newCrowd(b.ours.host()), newCrowd(b.bare.host())
	defer ours.close()
	defer bare.close()
	if err := b.write("bench.watched.warm", `{"value":0,"acls":{"read":["bench-reader"]}}`); err != nil {
		return err
	}
	before, err := b.memory()
	if err != nil {
		return err
	}
	for i, n := range b.watchers {
		everything := func(int) string { return "?subscribe=bench.watched.*" }
		if err := ours.grow(n, b.reader, everything); err != nil {
			return err
		}
		if err := bare.grow(n, "", func(int) string { return "" }); err != nil {
			return err
		}
		time.Sleep(settle)
		if i == len(b.watchers)-1 {
			if err := b.idle(n, before); err != nil {
				return err
			}
		}
		if err := b.deliverTo(ctx, n, ours, bare); err != nil {
			return err
		}
	}
	return nil
}

func (b *bencher) deliverTo(ctx context.Context, n int, ours, bare *crowd) error {
	put, err := dial(b.ours.host())
	if err != nil {
		return err
	}
	defer func() { _ = put.conn.Close() }()
	post, err := dial(b.bare.host())
	if err != nil {
		return err
	}
	defer func() { _ = post.conn.Close() }()
	var (
		a, c                  rounds
		oursBefore, oursSpent time.Duration
		bareBefore, bareSpent time.Duration
	)
	for i := range b.plan.rounds + 3 {
		oursBefore, _ = b.ours.spent()
		took, err := ours.round(ctx, n, func() error {
			body := fmt.Sprintf(`{"value":%d}`, time.Now().UnixNano())
			return put.do(request("PUT", b.ours.host(), "/keys/bench.watched.warm", b.admin, body))
		})
		if err != nil {
			return err
		}
		between, _ := b.ours.spent()
		bareBefore, _ = b.bare.spent()
		bareTook, err := bare.round(ctx, n, func() error {
			const frame = `{"event":"update","key":"bench.watched.warm","version":100,"value":%d,"revision":"abcdefghijkl:1000","lastModified":"2026-01-01T00:00:00.000000Z"}`
			return post.do(request("POST", b.bare.host(), "/broadcast", "", fmt.Sprintf(frame, time.Now().UnixNano())))
		})
		if err != nil {
			return err
		}
		after, err := b.bare.spent()
		if err != nil {
			return err
		}
		if i >= 3 { // the first warm up
			oursSpent += between - oursBefore
			bareSpent += after - bareBefore
			a, c = append(a, sample{took: took}), append(c, sample{took: bareTook})
		}
	}
	b.rows = append(b.rows, row{
		name: fmt.Sprintf("deliver one change to %d watchers", n), than: "coder/websocket broadcast", aim: "p99 <= 1.3",
		ours: a.cells(), other: c.cells(),
		ratio: fmt.Sprintf("p50 %.2f, p99 %.2f", float64(a.at(.5))/float64(c.at(.5)), float64(a.at(.99))/float64(c.at(.99))),
	})
	each := func(d time.Duration) [3]string { return [3]string{short(d / time.Duration(n*b.plan.rounds))} }
	b.rows = append(b.rows, row{
		name: "  processor time of the server for each", than: "coder/websocket broadcast", ours: each(oursSpent), other: each(bareSpent),
		ratio: fmt.Sprintf("%.2f", float64(oursSpent)/float64(bareSpent)),
	})
	return nil
}

// rounds are samples of the same thing one after the other. Their quantile is the median of each round's own, lest one
// round in which the machine was busy with something else is the whole p99.
type rounds []sample

func (r rounds) at(q float64) time.Duration {
	each := make([]time.Duration, len(r))
	for i, s := range r {
		each[i] = s.at(q)
	}
	return sample{took: each}.at(0.5)
}

func (r rounds) cells() [3]string { return [3]string{short(r.at(0.50)), short(r.at(0.99)), ""} }

// memory is what both servers hold.
func (b *bencher) memory() (held [2]int64, err error) {
	if held[0], err = b.ours.resident(); err != nil {
		return held, err
	}
	held[1], err = b.bare.resident()
	return held, err
}

// idle adds the row of what a watcher costs that hears nothing.
func (b *bencher) idle(n int, before [2]int64) error {
	after, err := b.memory()
	if err != nil {
		return err
	}
	each := func(i int) float64 { return float64(after[i]-before[i]) / float64(n) / 1024 }
	b.rows = append(b.rows, row{
		name: fmt.Sprintf("idle watcher, of %d", n), than: "coder/websocket connection", aim: "< 40 KiB",
		ours: [3]string{fmt.Sprintf("%.1f KiB", each(0))}, other: [3]string{fmt.Sprintf("%.1f KiB", each(1))},
		ratio: fmt.Sprintf("%.2f", each(0)/each(1)),
	})
	return nil
}

// commit writes a key that one watcher follows, beside the same while 9,999 others follow other keys.
func (b *bencher) commit(ctx context.Context) error {
	const many = 10_000
	watch := newCrowd(b.ours.host())
	defer watch.close()
	if err := b.write("bench.hot", `{"value":0,"acls":{"read":["bench-reader"]}}`); err != nil {
		return err
	}
	query := func(i int) string {
		if i == 0 {
			return "?subscribe=bench.hot"
		}
		return fmt.Sprintf("?subscribe=bench.cold.k%d.*", i)
	}
	var one, crowd sample
	for _, step := range []struct {
		n    int
		into *sample
	}{{1, &one}, {many, &crowd}} {
		if err := watch.grow(step.n, b.reader, query); err != nil {
			return err
		}
		time.Sleep(settle)
		if err := b.commits(ctx, watch, step.into); err != nil {
			return err
		}
	}
	b.rows = append(b.rows, row{
		name: "commit with 10,000 watchers, 1 interested, till it hears", than: "1 watcher", ours: crowd.cells(), other: one.cells(),
		ratio: fmt.Sprintf("p50 %.2f, p99 %.2f", float64(crowd.at(.5))/float64(one.at(.5)), float64(crowd.at(.99))/float64(one.at(.99))),
	})
	return nil
}

func (b *bencher) commits(ctx context.Context, watch *crowd, into *sample) error {
	put, err := dial(b.ours.host())
	if err != nil {
		return err
	}
	defer func() { _ = put.conn.Close() }()
	for i := range 40 * b.turns {
		took, err := watch.round(ctx, 1, func() error {
			body := fmt.Sprintf(`{"value":%d}`, time.Now().UnixNano())
			return put.do(request("PUT", b.ours.host(), "/keys/bench.hot", b.admin, body))
		})
		if err != nil {
			return err
		}
		if i >= 10 {
			into.took = append(into.took, took...)
		}
	}
	return nil
}
