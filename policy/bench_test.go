package policy

import (
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

func benchAccess() (*core.Subject, core.Access) {
	chain := core.InternChain([]core.Link{
		{Namespace: "*", Rules: core.Intern(&core.ACL{Read: []string{"auditor"}})},
		{Namespace: "app", Rules: core.Intern(&core.ACL{Read: []string{"admin-user", "service:*"}, Write: []string{"deploy"}, Admin: []string{"lead"}})},
	})
	who := &core.Subject{Username: "service:pay", Claims: map[string]any{"username": "service:pay"}}
	return who, core.Access{
		Action: core.ActionRead, Kind: core.KindKey, Environment: "default", Key: "app.ui.theme", Exists: true,
		ACL: core.Intern(&core.ACL{Write: []string{"deploy"}}), Chain: chain, Operation: "get", Address: "192.0.2.7", Time: time.Unix(1_700_000_000, 0),
	}
}

func BenchmarkCached(b *testing.B) {
	a, err := New(b.Context(), Options{Admins: []string{"admin-user"}})
	if err != nil {
		b.Fatal(err)
	}
	who, ask := benchAccess()
	b.ReportAllocs()
	for b.Loop() {
		if d, err := a.Authorize(b.Context(), who, ask); err != nil || !d.Allow {
			b.Fatal(d, err)
		}
	}
}

func BenchmarkUncached(b *testing.B) {
	a, err := New(b.Context(), Options{Admins: []string{"admin-user"}})
	if err != nil {
		b.Fatal(err)
	}
	who, ask := benchAccess()
	b.ReportAllocs()
	for b.Loop() {
		d, _, err := a.evaluate(b.Context(), a.current.Load(), who, &ask)
		if err != nil || !d.Allow {
			b.Fatal(d, err)
		}
	}
}

func BenchmarkFloor(b *testing.B) {
	a, err := New(b.Context(), Options{Admins: []string{"admin-user"}, Set: Set{Modules: map[string]string{"a.rego": `package dynconfig.authz
decision := {"allow": true, "rule": "x"}`}}})
	if err != nil {
		b.Fatal(err)
	}
	who, ask := benchAccess()
	b.ReportAllocs()
	for b.Loop() {
		d, _, err := a.evaluate(b.Context(), a.current.Load(), who, &ask)
		if err != nil || !d.Allow {
			b.Fatal(d, err)
		}
	}
}

func BenchmarkInput(b *testing.B) {
	a, err := New(b.Context(), Options{Admins: []string{"admin-user"}})
	if err != nil {
		b.Fatal(err)
	}
	who, ask := benchAccess()
	p := a.current.Load()
	b.ReportAllocs()
	for b.Loop() {
		p.input(a.terms, who, &ask)
	}
}
