package policy

import (
	"runtime"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// benchmarked is a read of a key with an ACL of its own in two namespaces with records, by users whom each kind of line lets
// in.
func benchmarked() (core.Access, []string) {
	return core.Access{
		Action: core.ActionRead, Kind: core.KindKey, Environment: "default", Key: "app.ui.theme", Exists: true,
		ACL:       core.Intern(&core.ACL{Write: []string{"deploy"}}),
		Chain:     around("*", "read: auditor", "app", "read: ann service:*; write: deploy; admin: lead"),
		Operation: "get", Address: "192.0.2.7", Time: time.Unix(1_700_000_000, 0),
	}, []string{"ann", "service:pay", "lead", "admin-user", "nobody"}
}

func BenchmarkCached(b *testing.B) {
	a := open(b, Set{})
	access, users := benchmarked()
	who := &core.Subject{Username: users[0]}
	b.ReportAllocs()
	for b.Loop() {
		if d, err := a.Authorize(b.Context(), who, access); err != nil || !d.Allow {
			b.Fatal(d, err)
		}
	}
}

func BenchmarkCachedInParallel(b *testing.B) {
	a := open(b, Set{})
	access, users := benchmarked()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		who := &core.Subject{Username: users[0]}
		for pb.Next() {
			if d, err := a.Authorize(b.Context(), who, access); err != nil || !d.Allow {
				b.Error(d, err)
			}
		}
	})
}

// heap is about what a server's index holds: beside a heap of next to nothing the collector would never rest.
const heap = 64 << 20

func BenchmarkUncached(b *testing.B) {
	held := make([]byte, heap)
	defer runtime.KeepAlive(held)
	a := open(b, Set{})
	access, users := benchmarked()
	for _, name := range users {
		b.Run(name, func(b *testing.B) {
			who := &core.Subject{Username: name}
			b.ReportAllocs()
			for b.Loop() {
				if d, err := a.evaluate(b.Context(), a.current.Load(), who, &access); err != nil || d.failure != nil && !d.Late {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFloor is what any evaluation costs: a policy that always answers the same.
func BenchmarkFloor(b *testing.B) {
	held := make([]byte, heap)
	defer runtime.KeepAlive(held)
	a := open(b, module(`decision := {"allow": true, "rule": "floor", "reason": "It is"}`))
	access, users := benchmarked()
	who := &core.Subject{Username: users[0]}
	b.ReportAllocs()
	for b.Loop() {
		if d, err := a.evaluate(b.Context(), a.current.Load(), who, &access); err != nil || d.failure != nil && !d.Late {
			b.Fatal(err)
		}
	}
}
