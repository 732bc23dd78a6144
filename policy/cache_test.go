package policy

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// counted asks once and returns how many times the policy ran for it.
func counted(t *testing.T, a *Authorizer, who *core.Subject, access core.Access) (core.Decision, uint64) {
	t.Helper()
	before := a.Stats().Evaluations
	d, err := a.Authorize(t.Context(), who, access)
	if err != nil {
		t.Fatal(err)
	}
	return d, a.Stats().Evaluations - before
}

// variant is one way in which an access may differ from another.
type variant struct {
	name   string
	change func(*core.Subject, *core.Access)
}

func variants() []variant {
	claim := func(name string, value any) func(*core.Subject, *core.Access) {
		return func(s *core.Subject, _ *core.Access) { s.Claims[name] = value }
	}
	access := func(f func(*core.Access)) func(*core.Subject, *core.Access) {
		return func(_ *core.Subject, a *core.Access) { f(a) }
	}
	return []variant{
		{"username", func(s *core.Subject, _ *core.Access) { s.Username = "bob" }},
		{"environment", access(func(a *core.Access) { a.Environment = "other" })},
		{"kind", access(func(a *core.Access) { a.Kind = core.KindDocument })},
		{"action", access(func(a *core.Access) { a.Action = core.ActionWrite })},
		{"exists", access(func(a *core.Access) { a.Exists = false })},
		{"acl", access(func(a *core.Access) { a.ACL = lists("read: ann") })},
		{"chain", access(func(a *core.Access) { a.Chain = around("app", "read: bob") })},
		{"key", access(func(a *core.Access) { a.Key = "app.ui.other" })},
		{"operation", access(func(a *core.Access) { a.Operation = "list" })},
		{"changes", access(func(a *core.Access) { a.Changes = core.ChangesTTL })},
		{"address", access(func(a *core.Access) { a.Address = "192.0.2.8" })},
		{"time", access(func(a *core.Access) { a.Time = a.Time.Add(time.Hour) })},
		{"claim team", claim("team", "red")},
		{"claim level", claim("level", json.Number("9007199254740994"))},
		{"claim other", claim("other", nil)},
	}
}

func plain() (*core.Subject, core.Access) {
	who := &core.Subject{Username: "ann", Claims: map[string]any{"team": "blue", "level": json.Number("9007199254740993")}}
	return who, ask(core.ActionRead, lists("read: ann x"), around("app", "read: *"))
}

func TestCachedDecisionDependsOnWhatThePolicyReadsAndNothingElse(t *testing.T) {
	always := []string{"username", "environment", "kind", "action", "exists", "acl", "chain"}
	claims := []string{"claim team", "claim level", "claim other"}
	for _, c := range []struct {
		name, body string
		extra      []string
	}{
		{"nothing more", `decision := {"allow": true}`, nil},
		{"the shipped rules", `decision := data.dynconfig.acl.decision`, nil},
		{"username alone", `decision := {"allow": input.subject.username == "ann"}`, nil},
		{"the key", `decision := {"allow": startswith(input.resource.key, "app")}`, []string{"key"}},
		{"the namespaces, which follow from the key", `decision := {"allow": "app" in input.resource.namespaces}`, []string{"key"}},
		{"the resource as a whole", `decision := {"allow": count(input.resource) > 0}`, []string{"key"}},
		{"the resource cut at a variable", "decision := {\"allow\": true} if {\n\tsome x\n\tinput.resource[x] == \"key\"\n}", []string{"key"}},
		{"the operation", `decision := {"allow": input.request.operation != "put"}`, []string{"operation"}},
		{"the changes", `decision := {"allow": count(input.request.changes) < 9}`, []string{"changes"}},
		{"the address", `decision := {"allow": net.cidr_contains("192.0.2.0/24", input.request.address)}`, []string{"address"}},
		{"one claim", `decision := {"allow": input.subject.claims.team == "blue"}`, []string{"claim team"}},
		{"one claim in brackets", `decision := {"allow": input["subject"]["claims"]["team"] == "blue"}`, []string{"claim team"}},
		{"a claim below another", "decision := {\"allow\": true} if not input.subject.claims.level.deep", []string{"claim level"}},
		{"two claims", "decision := {\"allow\": true} if {\n\tinput.subject.claims.team != \"x\"\n\tinput.subject.claims.level > 3\n}", []string{"claim team", "claim level"}},
		{"all claims", `decision := {"allow": count(input.subject.claims) > 0}`, claims},
		{"the subject as a whole", "decision := {\"allow\": f(input.subject)}\n\nf(s) := s.username == \"ann\"", claims},
		{"claims under another name", "import input.subject.claims as mine\n\ndecision := {\"allow\": mine.team == \"blue\"}", []string{"claim team"}},
		{"claims through a variable", "decision := {\"allow\": c.team == \"blue\"} if c := input.subject.claims", claims},
		{"a claim whose name is computed", "decision := {\"allow\": input.subject.claims[name] == \"blue\"}\n\nname := \"team\"", claims},
		{"a claim read where no rule leads", "decision := {\"allow\": true}\n\nunused if input.subject.claims.team", []string{"claim team"}},
		{"a claim in an else", "decision := {\"allow\": true} if {\n\tinput.action == \"x\"\n} else := {\"allow\": input.subject.claims.team == \"blue\"}", []string{"claim team"}},
		{"a claim in a comprehension", `decision := {"allow": count([1 | input.subject.claims.team]) > 0}`, []string{"claim team"}},
		{"a claim that stands in for another input", "decision := d if {\n\td := data.dynconfig.acl.decision with input.subject.username as input.subject.claims.team\n}", []string{"claim team"}},
		{"an input that replaces the whole is no read of it", "decision := d if {\n\td := data.dynconfig.acl.decision with input as {\"action\": input.action}\n}", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // where nothing is late
				depends := map[string]bool{}
				for _, name := range append(append([]string{}, always...), c.extra...) {
					depends[name] = true
				}
				a := open(t, module(c.body))
				who, access := plain()
				defer runtime.KeepAlive(access) // rules that nobody uses are interned anew, under another identity
				counted(t, a, who, access)
				if _, n := counted(t, a, who, access); n != 0 {
					t.Fatal("the same question ran the policy again")
				}
				for _, v := range variants() {
					who, access := plain()
					v.change(who, &access)
					if _, n := counted(t, a, who, access); (n == 1) != depends[v.name] {
						t.Errorf("another %s: %d runs, want one only if the answer depends on it (%v)", v.name, n, depends[v.name])
					}
				}
			})
		})
	}
}

func TestNothingIsKeptOfAPolicyThatReadsTheTimeOrAnswersAnew(t *testing.T) {
	for name, body := range map[string]string{
		"the request's time":            `decision := {"allow": input.request.time != ""}`,
		"the request as a whole":        `decision := {"allow": count(input.request) > 0}`,
		"the request cut at a variable": "decision := {\"allow\": true} if {\n\tsome x\n\tinput.request[x] == \"get\"\n}",
		"input as a whole":              `decision := {"allow": count(input) > 0}`,
		"input cut at a variable":       "decision := {\"allow\": true} if {\n\tsome x\n\tinput[x] == \"read\"\n}",
		"the clock":                     `decision := {"allow": time.now_ns() > 0}`,
		"a nondeterministic builtin":    "decision := {\"allow\": true}\n\nunused := io.jwt.decode_verify(\"\", {})",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // where nothing is late
				a := open(t, module(body))
				who, access := plain()
				for range 3 {
					if d, n := counted(t, a, who, access); n != 1 || !d.Allow {
						t.Errorf("got %+v in %d runs, want a run each time", d, n)
					}
				}
				if s := a.Stats(); s.Hits+s.Misses != 0 {
					t.Errorf("got %+v, want no use of the cache", s)
				}
			})
		})
	}
}

func TestCachedAnswerIsTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, Set{})
		own, chain := lists("read: ann"), around("app", "admin: lead; write: bob")
		for range 2 {
			for _, who := range []string{"ann", "bob", "lead", "admin-user"} {
				for _, action := range []core.Action{core.ActionRead, core.ActionWrite} {
					access := ask(action, own, chain)
					fresh := decide(t, open(t, Set{}), who, access)
					got := decide(t, a, who, access)
					if got.Allow != fresh.Allow || got.Rule != fresh.Rule || got.Reason != fresh.Reason {
						t.Errorf("%s %s: got %+v, want %+v", who, action, got, fresh)
					}
				}
			}
		}
		if s := a.Stats(); s.Hits != 8 || s.Misses != 8 || s.Evaluations != 8 || s.Errors != 0 {
			t.Errorf("got %+v, want 8 hits, 8 misses, 8 runs", s)
		}
	})
}

func TestTheTimeThatRunsTakeIsCounted(t *testing.T) {
	a := open(t, Set{})
	decide(t, a, "ann", ask(core.ActionRead, nil, nil))
	if s := a.Stats(); s.Evaluating <= 0 {
		t.Errorf("got %+v", s)
	}
}

func TestCacheIsBounded(t *testing.T) {
	a, err := New(t.Context(), Options{Admins: []string{"admin-user"}, Answers: 64})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		decide(t, a, fmt.Sprintf("user-%d", i), ask(core.ActionRead, nil, nil))
	}
	a.answers.CleanUp()
	if n := a.answers.EstimatedSize(); n > 64 {
		t.Errorf("%d answers are kept, want at most 64", n)
	}
}

func TestTermsAreBuiltOnceForEachContentAndKeepNoRulesAlive(t *testing.T) {
	a := open(t, Set{})
	access := ask(core.ActionRead, lists("read: once"), around("app", "read: once; write: once"))
	first, chain := a.terms.rules(access.ACL), a.terms.chain(access.Chain)
	again := ask(core.ActionRead, lists("read: once"), around("app", "read: once; write: once"))
	if a.terms.rules(again.ACL) != first || a.terms.chain(again.Chain) != chain {
		t.Error("equal lists were built twice")
	}
	runtime.KeepAlive(access)
	gone := make(chan struct{})
	rules := core.Intern(&core.ACL{Read: []string{"short-lived"}})
	a.terms.rules(rules)
	runtime.AddCleanup(rules, func(c chan struct{}) { close(c) }, gone)
	rules = nil
	for {
		runtime.GC()
		select {
		case <-gone:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

func TestDifferentClaimsNeverLookTheSame(t *testing.T) {
	values := []any{
		nil, true, false, "", "a", "ab", json.Number("1"), json.Number("1.0"), "1",
		[]any{},
		[]any{nil},
		[]any{"a", "b"},
		[]any{"ab"},
		[]any{[]any{"a"}, "b"},
		map[string]any{},
		map[string]any{"a": nil},
		map[string]any{"a": "b"},
		map[string]any{"ab": ""},
		map[string]any{"a": map[string]any{"b": ""}},
		"\xff", "\ufffd", 1, 1.5,
	}
	seen := map[string]any{}
	for _, v := range values {
		key := string(appendClaims(nil, map[string]any{"c": v}, []string{"c"}))
		if other, taken := seen[key]; taken {
			t.Errorf("%#v and %#v give the same key", v, other)
		}
		seen[key] = v
	}
	if _, taken := seen[string(appendClaims(nil, nil, []string{"c"}))]; taken {
		t.Error("an absent claim gives the key of a present one")
	}
}
