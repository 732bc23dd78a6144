package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
)

// decide asks the shipped policy: the same question again, and one that it was not asked before.
func (b *bencher) decide(ctx context.Context) error {
	authorizer, err := policy.New(ctx, policy.Options{Admins: []string{"admin-user"}})
	if err != nil {
		return err
	}
	rules := core.Intern(&core.ACL{Read: []string{"service:*", "bench-reader"}, Write: []string{"admin-user"}})
	ask := core.Access{
		Action: core.ActionRead, Kind: core.KindKey, Environment: "default", Key: "bench.get", Exists: true, ACL: rules,
		Operation: "get", Time: time.Now(),
	}
	var failed error
	bench := func(who func(i int) *core.Subject) time.Duration {
		asked := 0
		r := testing.Benchmark(func(t *testing.B) {
			for t.Loop() {
				d, err := authorizer.Authorize(ctx, who(asked), ask)
				if err != nil || !d.Allow {
					failed = fmt.Errorf("decided %+v, %w", d, err)
				}
				asked++
			}
		})
		return time.Duration(r.NsPerOp())
	}
	known := &core.Subject{Username: "bench-reader"}
	cached := bench(func(int) *core.Subject { return known })
	fresh := bench(func(i int) *core.Subject { return &core.Subject{Username: fmt.Sprintf("service:%d", i)} })
	if failed != nil {
		return failed
	}
	b.rows = append(b.rows, row{
		name: "policy decision, cached", than: "not cached", aim: "< 300 ns",
		ours: [3]string{short(cached)}, other: [3]string{short(fresh)}, ratio: fmt.Sprintf("%.4f", float64(cached)/float64(fresh)),
	})
	return nil
}
