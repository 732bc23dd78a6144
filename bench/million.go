package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/dynconfig/dynconfig/backends/postgres"
	"github.com/dynconfig/dynconfig/core"
)

// million measures a node on Postgres with a million keys, beside one with ten thousand: the time until it is ready, the
// memory that it holds, and reads.
func million(ctx context.Context, p plan) (err error) {
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
	if err := b.startShared(ctx); err != nil {
		return err
	}
	few, err := b.filled(ctx, 10_000)
	if err != nil {
		return err
	}
	many, err := b.filled(ctx, 1_000_000)
	if err != nil {
		return err
	}
	add := func(name, aim string, ours, other [3]string, ratio string) {
		b.rows = append(b.rows, row{name: name, than: "10,000 keys", aim: aim, ours: ours, other: other, ratio: ratio})
	}
	add("1,000,000 keys: time to ready", "", [3]string{short(many.ready)}, [3]string{short(few.ready)}, fmt.Sprintf("%.1f", float64(many.ready)/float64(few.ready)))
	mib := func(n int64) [3]string { return [3]string{fmt.Sprintf("%d MiB", n>>20)} }
	add("  memory of the node", "< 1 GiB", mib(many.memory), mib(few.memory), fmt.Sprintf("%.1f", float64(many.memory)/float64(few.memory)))
	p99 := func(a, b sample) string { return fmt.Sprintf("p99 %.2f", float64(a.at(.99))/float64(b.at(.99))) }
	add("  authorized GET of what is in the process", "", many.get.cells(), few.get.cells(), p99(many.get, few.get))
	add("  page of a list, 100 keys", "", many.list.cells(), few.list.cells(), p99(many.list, few.list))
	return printTable(os.Stdout, b.rows)
}

// full is what was measured of a node.
type full struct {
	ready     time.Duration
	memory    int64
	get, list sample
}

// perNamespace is how many keys a namespace has.
const perNamespace = 100

func keyOf(i int) string { return fmt.Sprintf("bench.n%d.k%d", i/perNamespace, i%perNamespace) }

// filled fills a database with n keys and measures a node on it.
func (b *bencher) filled(ctx context.Context, n int) (f full, err error) {
	var database string
	if err := b.shared.host.try(func() { database = b.shared.postgres.Database(&b.shared.host) }); err != nil {
		return f, err
	}
	if err := fill(ctx, b.shared.postgres.URL(database), n); err != nil {
		return f, err
	}
	begin := time.Now()
	node, err := b.on(database)
	if err != nil {
		return f, err
	}
	defer node.stop()
	f.ready = time.Since(begin)
	const reads, hot = 4000, 1000 // of keys from everywhere, some of which are read often
	for range 2 {                 // the first brings them into the process
		f.get, err = each(ctx, node.host(), reads, func(i int) []byte {
			return request("GET", node.host(), "/keys/"+keyOf(i%hot*(n/hot)), b.admin, "")
		})
		if err != nil {
			return f, err
		}
	}
	f.list, err = each(ctx, node.host(), reads/4, func(int) []byte {
		return request("GET", node.host(), fmt.Sprintf("/keys?namespace=bench.n%d&limit=100", rand.IntN(n/perNamespace)), b.admin, "")
	})
	if err != nil {
		return f, err
	}
	f.memory, err = node.resident()
	return f, err
}

// fill writes n keys with the value of the other rows, straight into the store.
func fill(ctx context.Context, url string, n int) error {
	backend, err := postgres.Open(ctx, url, postgres.Options{Quiet: true, Timeout: time.Minute})
	if err != nil {
		return err
	}
	defer func() { _ = backend.Close() }()
	body := []byte(value)
	for i := 0; i < n; {
		txn := core.Txn{Meta: core.Meta{ID: fmt.Sprint(i), Time: time.Now(), Author: "bench"}}
		for ; i < n && len(txn.Ops) < backend.Limits.MaxOps; i++ {
			txn.Ops = append(txn.Ops, core.Op{
				Key: core.MakeKey(core.DefaultEnv, core.KindKey, keyOf(i)), Do: core.OpPut,
				Doc: core.Doc{Value: body, ACL: &core.ACL{Read: []string{"bench-reader"}}},
			})
		}
		if _, err := backend.Store.Commit(ctx, txn); err != nil {
			return err
		}
	}
	return nil
}
