package policy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

func whoCan(t *testing.T, a *Authorizer, access core.Access) wire.WhoCan {
	t.Helper()
	w, err := a.WhoCan(t.Context(), access)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func principals(w wire.WhoCan) []string {
	var list []string
	for _, h := range w.Principals {
		list = append(list, h.Principal)
	}
	return list
}

func matches(entry, username string) bool {
	prefix, pattern := strings.CutSuffix(entry, "*")
	return entry == username || pattern && strings.HasPrefix(username, prefix)
}

func TestWhoCanNamesEachPrincipalAndPatternWithItsLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, Set{})
		access := ask(core.ActionRead, lists("read: ann service:*; write: bob"), around("*", "read: x; admin: root", "app", "admin: lead*"))
		w := whoCan(t, a, access)
		want := []wire.Holder{
			{Principal: "admin-user", Rule: "server-admin", Grant: &wire.Line{Source: "server", List: "admin", Entry: "admin-user"}},
			{Principal: "ann", Rule: "key-read", Grant: &wire.Line{Source: "key", Name: "app.ui.theme", List: "read", Entry: "ann"}},
			{Principal: "lead*", Rule: "namespace-admin", Grant: &wire.Line{Source: "namespace", Name: "app", List: "admin", Entry: "lead*"}},
			{Principal: "root", Rule: "namespace-admin", Grant: &wire.Line{Source: "namespace", Name: "*", List: "admin", Entry: "root"}},
			{Principal: "service:*", Rule: "key-read", Grant: &wire.Line{Source: "key", Name: "app.ui.theme", List: "read", Entry: "service:*"}},
		}
		same := func(x, y wire.Holder) bool {
			return x.Principal == y.Principal && x.Rule == y.Rule && *x.Grant == *y.Grant
		}
		if w.Partial || !slices.EqualFunc(w.Principals, want, same) {
			t.Errorf("got %+v, want %+v", w, want)
		}
	})
}

func TestWhoCanAgreesWithTheDecisions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, Set{})
		r := rand.New(rand.NewPCG(5, 6))
		for range 400 {
			_, access := randomAccess(r)
			w := whoCan(t, a, access)
			if w.Partial {
				t.Fatalf("not all are found: %+v", access)
			}
			for _, who := range []string{"ann", "bob", "service:pay", "service:", "service:p", "service:px", "admin-user", "x", "y", "ab", "aa", "sz"} {
				may := decide(t, a, who, access).Allow
				listed := slices.ContainsFunc(principals(w), func(p string) bool { return matches(p, who) })
				if may != listed {
					t.Fatalf("%s may %s %s: %v, listed %v among %q: %+v", who, access.Action, access.Kind, may, listed, principals(w), access)
				}
			}
		}
	})
}

func TestWhoCanUnderAnySetListsNobodyWhoMayNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, set := range sets() {
			a := open(t, set)
			r := rand.New(rand.NewPCG(7, 8))
			for range 100 {
				_, access := randomAccess(r)
				for _, h := range whoCan(t, a, access).Principals {
					if who := h.Principal; !strings.HasSuffix(who, "*") {
						if d := decide(t, a, who, access); !d.Allow || d.Rule != h.Rule {
							t.Fatalf("%s: %s is listed by %s and answered %+v: %+v", name, who, h.Rule, d, access)
						}
					}
				}
			}
		}
	})
}

func TestWhoCanIsPartialWhereThePolicyLooksAtMoreThanLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for body, want := range map[string]bool{
			`decision := data.dynconfig.acl.decision`:                                                                                                  false,
			`decision := data.dynconfig.acl.decision if input.action != "write"`:                                                                       false,
			`decision := {"allow": startswith(input.resource.key, "public.")}`:                                                                         false,
			`decision := {"allow": input.subject.claims.team == "blue"}`:                                                                               true,
			`decision := {"allow": time.now_ns() > 1}`:                                                                                                 true,
			`decision := {"allow": input.request.address == "192.0.2.7"}`:                                                                              true,
			`decision := {"allow": input.subject.username == "ann"}`:                                                                                   true,
			"decision := {\"allow\": false} if {\n\tnot input.subject.username in data.dynconfig.config.admins\n} else := data.dynconfig.acl.decision": false,
			"decision := {\"allow\": true} if {\n\tinput.subject.username in data.dynconfig.config.admins\n}":                                          false,
			"decision := {\"allow\": true} if {\n\tinput.subject.username in data.team\n}":                                                             true,
			"decision := {\"allow\": true} if {\n\tname := input.subject.username\n\tname in data.dynconfig.config.admins\n\tname != \"x\"\n}":         true,
			"decision := {\"allow\": f(input)}\n\nf(x) := x.action == \"read\"":                                                                        true,
			"decision := {\"allow\": true} if {\n\tsome x\n\tinput[x] == \"read\"}":                                                                    true,
		} {
			if w := whoCan(t, open(t, module(body)), ask(core.ActionRead, nil, nil)); w.Partial != want {
				t.Errorf("%s: partial %v, want %v", body, w.Partial, want)
			}
		}
	})
}

func TestStandInMatchesItsPatternAndNoOtherEntry(t *testing.T) {
	named := map[string]bool{"*": true, "s*": true, "service:*": true, "service:a": true, strings.Repeat("x", core.MaxUsername) + "*": true}
	for _, c := range "bcdefghijklmnopqrstuvwxyz0123456789" {
		named["service:"+string(c)+"*"] = true
		named["s"+string(c)] = true
	}
	named["service:\u4e00"] = true
	for entry := range named {
		name := standIn(entry, named)
		if !matches(entry, name) || core.CheckUsername(name) != nil {
			t.Errorf("%s is no principal that %s matches", name, entry)
		}
		for other := range named {
			if other != entry && len(other) > len(entry) && matches(other, name) {
				t.Errorf("%s stands for %s and is matched by %s", name, entry, other)
			}
		}
	}
}

func TestWhoCanOfTheLargestACLIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := make([]string, core.MaxACLEntries)
		for i := range names {
			names[i] = fmt.Sprintf("user-%05d", i)
		}
		w := whoCan(t, open(t, Set{}), ask(core.ActionWrite, core.Intern(&core.ACL{Write: names}), nil))
		if w.Partial || len(w.Principals) != len(names)+1 {
			t.Errorf("%d principals, want %d; partial %v", len(w.Principals), len(names)+1, w.Partial)
		}
	})
}

func TestWhoCanBeyondItsBoundSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, Set{})
		var links []core.Link
		for n := range 4 {
			names := make([]string, core.MaxACLEntries)
			for i := range names {
				names[i] = fmt.Sprintf("u%d-%d", n, i)
			}
			links = append(links, core.Link{Namespace: strings.Repeat("n.", n) + "n", Rules: core.Intern(&core.ACL{Read: names})})
		}
		if w := whoCan(t, a, ask(core.ActionRead, nil, core.InternChain(links))); !w.Partial || len(w.Principals) == 0 {
			t.Errorf("40,000 entries: got %d principals, want them called partial", len(w.Principals))
		}
	})
}

func TestWhoCanEndsWithItsCaller(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if _, err := open(t, Set{}).WhoCan(ctx, ask(core.ActionRead, lists("read: ann"), nil)); !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if _, err := open(t, Set{}).Explain(ctx, &core.Subject{Username: "ann"}, ask(core.ActionRead, nil, nil), true); !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}
