package policy

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

// anyAccess makes a question about few users, so that lists often name who asks.
func anyAccess(r *rand.Rand) (*core.Subject, core.Access) {
	users := []string{"ann", "bob", "service:pay", "service:", "admin-user", "lead", ""}
	entries := []string{"ann", "bob", "service:*", "service:pay", "s*", "a*", "*", "lead", "serv", "an"}
	list := func() []string {
		switch r.IntN(6) {
		case 0, 1, 2:
			return nil
		case 3:
			return []string{}
		}
		var l []string
		for range 1 + r.IntN(3) {
			l = append(l, entries[r.IntN(len(entries))])
		}
		return l
	}
	rules := func() *core.Rules {
		return core.Intern(&core.ACL{Read: list(), Write: list(), Admin: list()})
	}
	var links []core.Link
	for i, name := range []string{"*", "app", "app.ui", "app.ui.deep"} {
		if l := rules(); l != nil && r.IntN(4) > i-1 {
			links = append(links, core.Link{Namespace: name, Rules: l})
		}
	}
	kinds := []core.Kind{core.KindKey, core.KindDocument, core.KindNamespace, core.KindEnvironment, core.KindPolicy, core.KindAudit, "box"}
	actions := []core.Action{
		core.ActionRead, core.ActionCreate, core.ActionWrite, core.ActionDelete, core.ActionAdmin, core.ActionList, core.ActionWatch, "steal",
	}
	access := ask(actions[r.IntN(len(actions))], rules(), core.InternChain(links))
	access.Kind, access.Exists = kinds[r.IntN(len(kinds))], r.IntN(2) == 0
	return &core.Subject{Username: users[r.IntN(len(users))]}, access
}

func TestNativeFunctionsAnswerAsTheShippedRulesSay(t *testing.T) {
	native := open(t, Set{})
	// Where a rule replaces the input, the functions run as they are written.
	written := open(t, module("decision := data.dynconfig.acl.decision\n\nunused if data.dynconfig.acl.decision.allow with input as {}"))
	if called, want := calls(native), calls(written); called == 0 || want != 0 {
		t.Fatalf("got %d and %d native calls, want some and none", called, want)
	}
	r := rand.New(rand.NewPCG(1, 2))
	rules := map[string]int{}
	for range 5000 {
		who, access := anyAccess(r)
		got, want := inTime(t, native, who, access), inTime(t, written, who, access)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q asks %+v: got %+v, want %+v", who.Username, access, got, want)
		}
		rules[got.Rule]++
	}
	for _, rule := range []string{"malformed", "server-admin", "key-admin", "key-read", "namespace-create", "namespace-write", "no-read", "no-delete"} {
		if rules[rule] == 0 {
			t.Errorf("no question was answered by %s: %v", rule, rules)
		}
	}
}

// calls counts the calls of native functions in a policy.
func calls(a *Authorizer) int {
	n := 0
	for _, m := range a.current.Load().compiler.Modules {
		n += strings.Count(m.String(), strings.TrimSpace(nativePrefix))
	}
	return n
}
