package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// bencher holds what the rows share.
type bencher struct {
	plan
	servers
	shared        shared
	admin, reader string // tokens
	rows          []row
}

// measure takes every row that is asked for and prints the table.
func measure(ctx context.Context, p plan) error {
	dir, err := os.MkdirTemp("", "dynconfig-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bencher{plan: p, servers: servers{dir: dir}}
	defer b.close()
	defer b.shared.close()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	for _, step := range []struct {
		names []string
		take  func(context.Context) error
	}{
		{[]string{"deliver", "idle watcher"}, b.deliver}, // first: memory grows least noticed in a process that had much before
		{[]string{"authorized GET"}, b.get},
		{[]string{"PUT, 8 writers"}, b.put},
		{[]string{"PUT, 64 writers"}, b.putBesideEtcd},
		{[]string{"commit with 10,000 watchers"}, b.commit},
		{[]string{"PUT on Postgres, 64 writers"}, b.putBesidePgbench},
		{[]string{"PUT on node A"}, b.propagate},
		{[]string{"GET of what is in Postgres, Redis, the process"}, b.layers},
		{[]string{"policy decision"}, b.decide},
	} {
		wanted := false
		for _, n := range step.names {
			wanted = wanted || p.only.MatchString(n)
		}
		if !wanted {
			continue
		}
		if err := step.take(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.names[0], err)
		}
	}
	return printTable(os.Stdout, b.rows)
}

// prepare starts our server and the bare one, and writes the key that is read.
func (b *bencher) prepare(ctx context.Context) error {
	if err := b.build(ctx); err != nil {
		return err
	}
	if err := b.startOurs(); err != nil {
		return err
	}
	if err := b.startBare(); err != nil {
		return err
	}
	var err error
	if b.admin, err = b.token("admin-user"); err != nil {
		return err
	}
	if b.reader, err = b.token("bench-reader"); err != nil {
		return err
	}
	const body = `{"value":{"enabled":true,"percent":25},"acls":{"read":["bench-reader"]}}`
	return b.write("bench.get", body)
}

// write puts one key of ours.
func (b *bencher) write(key, body string) error {
	r, err := dial(b.ours.host())
	if err != nil {
		return err
	}
	defer func() { _ = r.conn.Close() }()
	return r.do(request("PUT", b.ours.host(), "/keys/"+key, b.admin, body))
}

// compare adds a row of two samples by their rates: 100 % is as fast as the counterpart.
func (b *bencher) compare(name, than, aim string, ours, other sample) {
	b.rows = append(b.rows, row{
		name: name, than: than, aim: aim, ours: ours.cells(), other: other.cells(),
		ratio: fmt.Sprintf("%.0f %% of the rate", 100*ours.rate()/other.rate()),
	})
}

// settle is how long a crowd rests before its memory is looked at.
const settle = 3 * time.Second
