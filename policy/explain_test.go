package policy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

func explain(t *testing.T, a *Authorizer, who *core.Subject, access core.Access) wire.Explanation {
	t.Helper()
	e, err := a.Explain(t.Context(), who, access, true)
	if err != nil {
		t.Fatalf("%+v asks %+v: %v", who, access, err)
	}
	return e
}

// lineOf finds the line of a file of this directory on which, from one that holds a text on, another stands or stood last.
func lineOf(t *testing.T, file, text, head string) int {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	for i, l := range strings.Split(string(content), "\n") {
		if strings.Contains(l, head) {
			last = i + 1
		}
		if strings.Contains(l, text) {
			return last
		}
	}
	t.Fatalf("%s does not hold %q", file, text)
	return 0
}

func TestExplanationNamesTheBranchThatDecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, Set{})
		for _, c := range []struct {
			who    string
			access core.Access
			rule   string
			text   string // stands in the branch
		}{
			{"admin-user", ask(core.ActionRead, nil, nil), "server-admin", `"server-admin"`},
			{"ann", ask(core.ActionRead, nil, around("app", "admin: ann")), "namespace-admin", `"The admin list of a namespace around it names you"`},
			{"ann", ask(core.ActionRead, nil, around("app", "read: ann")), "namespace-read", `"The nearest read list around it names you"`},
			{"ann", ask(core.ActionCreate, nil, around("app", "write: ann")), "namespace-create", `"namespace-create"`},
			{"ann", ask(core.ActionList, nil, nil), "list", `"rule": input.action`},
			{"ann", ask(core.ActionRead, nil, nil), "no-read", `"no-read"`},
			{"ann", of(core.KindEnvironment, ask(core.ActionRead, nil, nil)), "environment-read", `"environment-read"`},
		} {
			e := explain(t, a, &core.Subject{Username: c.who}, c.access)
			if want := lineOf(t, "acl.rego", c.text, "} else :="); e.Rule != c.rule || e.File != "acl.rego" || e.Line != want {
				t.Errorf("%s asks %s: got %s at %s:%d, want %s at acl.rego:%d", c.who, c.access.Action, e.Rule, e.File, e.Line, c.rule, want)
			}
		}
		e := explain(t, a, &core.Subject{}, ask(core.ActionRead, nil, nil))
		if e.Rule != "malformed" || e.Line != lineOf(t, "acl.rego", "decision := malformed if", "decision := malformed if") {
			t.Errorf("without a user: got %+v", e)
		}
	})
}

func TestExplanationOfAnOperatorsSetNamesWhoseLineDecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			body string
			user string
			file string
			line int // 0: of the branch in acl.rego
		}{
			"own rule":                  {"decision := {\"allow\": false, \"rule\": \"x\"}", "ann", "authz.rego", 3},
			"own branch":                {"decision := {\"allow\": false, \"rule\": \"x\"} if {\n\tinput.action == \"write\"\n} else := {\"allow\": true, \"rule\": \"y\"} if {\n\tinput.action == \"read\"\n} else := data.dynconfig.acl.decision", "ann", "authz.rego", 5},
			"delegated":                 {"decision := data.dynconfig.acl.decision", "ann", "acl.rego", 0},
			"delegated in a branch":     {"decision := {\"allow\": false} if {\n\tinput.action == \"write\"\n} else := data.dynconfig.acl.decision", "ann", "acl.rego", 0},
			"delegated by a variable":   {"decision := d if {\n\td := data.dynconfig.acl.decision\n\td.allow\n} else := {\"allow\": true}", "ann", "acl.rego", 0},
			"delegated by a function":   {"decision := checked(data.dynconfig.acl.decision)\n\nchecked(d) := d if d.allow", "ann", "acl.rego", 0},
			"delegated with another":    {"decision := d if {\n\td := data.dynconfig.acl.decision with input.subject.username as \"ann\"\n}", "bob", "acl.rego", 0},
			"delegated by a name of it": {"decision := shipped\n\nshipped := data.dynconfig.acl.decision", "ann", "acl.rego", 0},
			"a default":                 {"default decision := {\"allow\": false, \"rule\": \"x\"}\n\ndecision := {\"allow\": true} if input.action == \"write\"", "ann", "authz.rego", 3},
			"changed on its way":        {"decision := object.union(data.dynconfig.acl.decision, {\"rule\": \"mine\"})", "ann", "authz.rego", 3},
			"a helper's":                {"decision := verdict\n\nverdict := {\"allow\": false, \"rule\": \"x\"}", "ann", "authz.rego", 5},
			"named by a helper":         {"decision := answer(\"deny\", false)\n\nanswer(member, allow) := {\"allow\": allow, \"rule\": d.rule, \"reason\": d.reason} if {\n\td := {\"deny\": deny}[member]\n}\n\ndeny := {\"rule\": \"freeze\", \"reason\": sprintf(\"Frozen for %s\", [input.subject.username])}", "ann", "authz.rego", 9},
			"named in a set":            {"decision := {\"allow\": false, \"rule\": d.rule} if {\n\tsome d in denials\n}\n\ndenials contains {\"rule\": \"x\"} if input.action == \"read\"\n\ndenials contains {\"rule\": \"y\"} if input.action == \"write\"", "ann", "authz.rego", 7},
			"named by the lists alone":  {"decision := {\"allow\": false, \"rule\": d.rule, \"reason\": d.reason} if {\n\td := data.dynconfig.acl.decision\n\td.allow\n}", "ann", "authz.rego", 3},
			"one of a collection":       {"decision := verdicts[input.action]\n\nverdicts[\"read\"] := {\"allow\": false}\n\nverdicts[\"write\"] := {\"allow\": true}", "ann", "authz.rego", 5},
		} {
			e := explain(t, open(t, module(c.body)), &core.Subject{Username: c.user}, ask(core.ActionRead, lists("read: ann"), nil))
			want := c.line
			if want == 0 {
				want = lineOf(t, "acl.rego", `"Its read list names you"`, "} else :=")
			}
			if e.File != c.file || e.Line != want {
				t.Errorf("%s: got %s:%d (%s), want %s:%d", name, e.File, e.Line, e.Rule, c.file, want)
			}
		}
	})
}

func TestExplanationShowsAllThatThePolicyMayReadAndOfClaimsWhatItReads(t *testing.T) {
	who := &core.Subject{Username: "ann", Claims: map[string]any{"team": "blue", "hush": "hush", "id": json.Number("9007199254740993")}}
	access := ask(core.ActionWrite, lists("read: ann bob; write:"), around("*", "admin: service:*"))
	access.Changes, access.Operation = core.ChangesValue|core.ChangesTTL, "put"
	rest := `"action":"write","environment":"default","resource":{"kind":"key","key":"app.ui.theme","namespaces":["app","app.ui"],"exists":true,
		"acls":{"read":{"any":false,"names":{"ann":true,"bob":true},"prefixes":[]},"write":{"any":false,"names":{},"prefixes":[]}},
		"namespace_acls":[{"namespace":"*","acls":{"admin":{"any":false,"names":{},"prefixes":["service:"]}}}]},
		"request":{"operation":"put","changes":["value","ttl"],"time":"` + access.Time.UTC().Format(time.RFC3339Nano) + `","address":"192.0.2.7"}}`
	for body, claims := range map[string]string{
		`decision := data.dynconfig.acl.decision`:                                                  `{}`,
		`decision := {"allow": input.subject.claims.team == "red"}`:                                `{"team":"blue"}`,
		`decision := {"allow": input.subject.claims.id == 1} if not input.subject.claims.ab`:       `{"id":9007199254740993}`,
		"decision := {\"allow\": true} if {\n\tsome x\n\tinput.subject.claims[x] == \"blue\"\n}\n": `{"team":"blue","hush":"hush","id":9007199254740993}`,
	} {
		sameJSON(t, string(explain(t, open(t, module(body)), who, access).Input), `{"subject":{"username":"ann","claims":`+claims+`},`+rest)
	}
}

func TestExplanationOfAnItemOneDoesNotAdministerNamesNobodyElse(t *testing.T) {
	a := open(t, Set{})
	access := ask(core.ActionWrite, lists("read: service:pay other:* s* *; write: eve"), around("*", "admin: root", "app", "write: eve service:* service:p* mallory"))
	e, err := a.Explain(t.Context(), &core.Subject{Username: "service:pay"}, access, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{"eve", "mallory", "root", "other:"} {
		if text, _ := json.Marshal(e); strings.Contains(string(text), other) {
			t.Errorf("%s is named: %s", other, text)
		}
	}
	var input struct {
		Resource struct {
			ACLs map[string]any `json:"acls"`
			NS   []struct {
				ACLs map[string]any `json:"acls"`
			} `json:"namespace_acls"`
		} `json:"resource"`
	}
	if err := json.Unmarshal(e.Input, &input); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(input.Resource.ACLs["read"]), "map[any:true names:map[service:pay:true] prefixes:[s]]"; got != want {
		t.Errorf("read list is shown as %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(input.Resource.NS[1].ACLs["write"]), "map[any:false names:map[] prefixes:[service: service:p]]"; got != want {
		t.Errorf("write list is shown as %s, want %s", got, want)
	}
}

func TestGrantNamesTheItemItself(t *testing.T) {
	a := open(t, Set{})
	for _, c := range []struct {
		access core.Access
		want   wire.Line
	}{
		{ask(core.ActionRead, lists("read: a*"), nil), wire.Line{Source: "key", Name: "app.ui.theme", List: "read", Entry: "a*"}},
		{ask(core.ActionRead, nil, around("app", "read: *")), wire.Line{Source: "namespace", Name: "app", List: "read", Entry: "*"}},
		{ask(core.ActionRead, nil, around("*", "admin: ann")), wire.Line{Source: "namespace", Name: "*", List: "admin", Entry: "ann"}},
		{of(core.KindNamespace, ask(core.ActionRead, lists("read: ann"), nil)), wire.Line{Source: "namespace", Name: "app.ui.theme", List: "read", Entry: "ann"}},
		{of(core.KindAudit, ask(core.ActionRead, lists("admin: ann"), nil)), wire.Line{Source: "key", Name: "app.ui.theme", List: "admin", Entry: "ann"}},
	} {
		if e := explain(t, a, &core.Subject{Username: "ann"}, c.access); e.Grant == nil || *e.Grant != c.want {
			t.Errorf("got %+v by %s, want %+v", e.Grant, e.Rule, c.want)
		}
	}
}

func TestExplanationOfAFailureSaysWhyAndWhereAndQuotesNoClaim(t *testing.T) {
	who := &core.Subject{Username: "ann", Claims: map[string]any{"team": "hush"}}
	for name, c := range map[string]struct {
		body, says string
		line       int
	}{
		"conflict":  {"decision := {\"allow\": true} if input.action\n\ndecision := {\"allow\": false} if input.action", "disagree", 5},
		"undefined": {"decision := {\"allow\": true} if input.action == \"never\"", "none of its rules applies", 3},
		"builtin":   {"decision := {\"allow\": n == 1} if {\n\tn := to_number(input.subject.claims.team)\n}", "the builtin to_number failed", 4},
		"operand":   {"decision := {\"allow\": n == 1} if {\n\tn := abs(input.subject.claims.team)\n}", "failed", 4},
		"no text":   {"decision := {\"allow\": true, \"rule\": 1}", "rule is not a string", 3},
		"not true":  {"decision := verdict\n\nverdict := {\"allow\": input.subject.claims.team}", "allow is not true or false", 5},
		"too slow":  {"decision := {\"allow\": true} if {\n\tcount([1 | some x in numbers.range(1, 1000000); some y in numbers.range(1, 1000000); x == y + 1000000]) == 0\n}", "longer than 250 ms", 4},
	} {
		e := explain(t, open(t, module(c.body)), who, ask(core.ActionRead, lists("read: ann"), nil))
		if e.Allow || e.Rule != RuleError || !strings.Contains(e.Reason, c.says) || e.File != "authz.rego" || e.Line != c.line {
			t.Errorf("%s: got %s (%s) at %s:%d, want %q at authz.rego:%d", name, e.Rule, e.Reason, e.File, e.Line, c.says, c.line)
		}
		if e.Nearest != nil || strings.Contains(e.Reason, "hush") {
			t.Errorf("%s: got nearest %+v, reason %s", name, e.Nearest, e.Reason)
		}
	}
}

// randomAccess is an access among a few users, lists and namespaces, so that every rule is met.
func randomAccess(r *rand.Rand) (*core.Subject, core.Access) {
	users := []string{"ann", "bob", "service:pay", "service:", "service:p", "admin-user", "x"}
	entries := append([]string{"*", "service:*", "service:p*", "s*", "a*", "service:pa*"}, users...)
	list := func() []string {
		if r.IntN(2) == 0 {
			return nil
		}
		l := []string{}
		for range r.IntN(4) {
			l = append(l, entries[r.IntN(len(entries))])
		}
		return l
	}
	acl := func() *core.Rules { return core.Intern(&core.ACL{Read: list(), Write: list(), Admin: list()}) }
	var links []core.Link
	for _, ns := range []string{"*", "app", "app.ui"} {
		if rules := acl(); rules != nil && r.IntN(2) == 0 {
			links = append(links, core.Link{Namespace: ns, Rules: rules})
		}
	}
	actions := []core.Action{core.ActionRead, core.ActionRead, core.ActionList, core.ActionWatch, core.ActionCreate, core.ActionWrite, core.ActionDelete, core.ActionAdmin}
	kinds := []core.Kind{core.KindKey, core.KindKey, core.KindDocument, core.KindNamespace, core.KindEnvironment, core.KindPolicy, core.KindAudit}
	access := of(kinds[r.IntN(len(kinds))], ask(actions[r.IntN(len(actions))], acl(), core.InternChain(links)))
	access.Exists = r.IntN(4) > 0
	return &core.Subject{Username: users[r.IntN(len(users))], Claims: map[string]any{"team": []string{"blue", "red"}[r.IntN(2)]}}, access
}

// sets are policies for properties that hold under any.
func sets() map[string]Set {
	return map[string]Set{
		"shipped": {},
		"narrowed": module("decision := {\"allow\": false, \"rule\": \"frozen\", \"reason\": \"Frozen\"} if {\n\tinput.action in {\"create\", \"write\"}\n" +
			"\tnot input.subject.username in data.dynconfig.config.admins\n} else := data.dynconfig.acl.decision"),
		"by claim": module("decision := {\"allow\": true, \"rule\": \"team\"} if {\n\tinput.subject.claims.team == \"blue\"\n} else := data.dynconfig.acl.decision"),
		"failing":  module("decision := data.dynconfig.acl.decision if input.action != \"write\""),
		"by key":   module("decision := d if {\n\td := data.dynconfig.acl.decision\n\tnot startswith(input.resource.key, \"secret\")\n} else := {\"allow\": false}"),
	}
}

func TestExplanationAndDecisionAreTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, set := range sets() {
			a := open(t, set)
			r := rand.New(rand.NewPCG(1, 2))
			for range 400 {
				who, access := randomAccess(r)
				d, err := a.Authorize(t.Context(), who, access)
				if err != nil {
					t.Fatal(err)
				}
				e := explain(t, a, who, access)
				if e.Allow != d.Allow || e.Rule != d.Rule || d.Rule != RuleError && !strings.HasPrefix(e.Reason, d.Reason) || e.File == "" || e.Line == 0 {
					t.Fatalf("%s: %s asks %+v: explained as %+v, decided as %+v", name, who.Username, access, e, d)
				}
				if (e.Grant == nil) != (d.Grant == nil) || e.Grant != nil && (e.Grant.Entry != d.Grant.Entry || e.Grant.List != d.Grant.List) {
					t.Fatalf("%s: %s asks %+v: grant explained as %+v, decided as %+v", name, who.Username, access, e.Grant, d.Grant)
				}
			}
		}
	})
}

func TestExplanationIsNeitherKeptNorCounted(t *testing.T) {
	a := open(t, Set{})
	for range 3 {
		explain(t, a, &core.Subject{Username: "ann"}, ask(core.ActionRead, nil, nil))
	}
	if s := a.Stats(); s.Hits+s.Misses+s.Evaluations != 0 {
		t.Errorf("got %+v, want nothing counted", s)
	}
	if err := a.Load(t.Context(), module(`decision := {"allow": true, "rule": "new"}`)); err != nil {
		t.Fatal(err)
	}
	if e := explain(t, a, &core.Subject{Username: "ann"}, ask(core.ActionRead, nil, nil)); e.Rule != "new" {
		t.Errorf("after another policy: got %+v", e)
	}
}

func TestNearestIsTheSmallestChangeThatAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, Set{})
		for _, c := range []struct {
			access core.Access
			want   string // none: ""
		}{
			{ask(core.ActionRead, lists("read: bob"), around("app", "read: eve")), "Add ann to the read list of key app.ui.theme"},
			{ask(core.ActionRead, lists("read:"), nil), "Add ann to the read list of key app.ui.theme"},
			{ask(core.ActionRead, lists("write: bob"), around("*", "read: x", "app", "read: eve", "app.ui", "write: y")), "Add ann to the read list of namespace app"},
			{ask(core.ActionRead, nil, around("*", "read:")), "Add ann to the read list of the root namespace"},
			{ask(core.ActionRead, nil, around("app", "write: x", "app.ui", "admin: y")), "Add ann to the read list of namespace app.ui"},
			{ask(core.ActionRead, nil, nil), "Add ann to the read list of key app.ui.theme"},
			{of(core.KindDocument, ask(core.ActionRead, nil, nil)), "Add ann to the read list of document app.ui.theme"},
			{ask(core.ActionDelete, lists("read: ann"), around("app", "write: dan")), "Add ann to the write list of namespace app"},
			{absent(ask(core.ActionCreate, lists("write: bob"), around("app", "write: dan"))), "Add ann to the write list of namespace app"},
			{absent(ask(core.ActionCreate, nil, around("app", "read: dan"))), "Add ann to the write list of namespace app"},
			{absent(ask(core.ActionCreate, nil, nil)), "Add ann to the write list of namespace app.ui"},
			{ask(core.ActionAdmin, lists("admin: bob"), around("app", "admin: lead")), "Add ann to the admin list of key app.ui.theme"},
			{absent(ask(core.ActionAdmin, lists("admin: bob"), around("app", "admin: lead", "app.ui", "read: x"))), "Add ann to the admin list of namespace app.ui"},
			{of(core.KindNamespace, ask(core.ActionRead, nil, around("app", "read: x"))), "Add ann to the read list of namespace app"},
			{of(core.KindNamespace, ask(core.ActionAdmin, lists("read: x"), nil)), "Add ann to the admin list of namespace app.ui.theme"},
			{of(core.KindAudit, ask(core.ActionRead, lists("read: x"), around("app", "admin: x"))), "Add ann to the admin list of key app.ui.theme"},
			{of(core.KindPolicy, ask(core.ActionRead, nil, nil)), "Add ann to ADMINS of the server"},
			{of(core.KindEnvironment, ask(core.ActionAdmin, nil, nil)), "Add ann to ADMINS of the server"},
		} {
			e := explain(t, a, &core.Subject{Username: "ann"}, c.access)
			if e.Allow || e.Nearest == nil || e.Nearest.Text != c.want || e.Nearest.Entry != "ann" || e.Nearest.Change != "add" {
				t.Errorf("%s of %s: got %+v (%s), want %s", c.access.Action, c.access.Kind, e.Nearest, e.Reason, c.want)
			}
		}
	})
}

func TestNoListIsNearestWhereThePolicyDeniesWhateverTheySay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := open(t, module("decision := {\"allow\": false, \"rule\": \"frozen\", \"reason\": \"Frozen\"} if {\n\tinput.action == \"write\"\n} else := data.dynconfig.acl.decision"))
		e := explain(t, a, &core.Subject{Username: "ann"}, ask(core.ActionWrite, nil, around("app", "write: x")))
		if e.Nearest != nil || e.Reason != "Frozen; the rule at authz.rego:3 denies it whatever the lists say" {
			t.Errorf("got %+v, %s", e.Nearest, e.Reason)
		}
		a = open(t, module("decision := {\"allow\": false} if {\n\tcount(input.resource.namespace_acls) > 1\n\tnot \"ann\" in object.keys(input.resource.namespace_acls[0].acls.admin.names)\n} else := data.dynconfig.acl.decision"))
		e = explain(t, a, &core.Subject{Username: "ann"}, ask(core.ActionRead, lists("read: x"), around("app", "admin: x", "app.ui", "admin: x")))
		if e.Nearest == nil || e.Nearest.Text != "Add ann to the admin list of namespace app" {
			t.Errorf("got %+v, %s, want the one change that the set lets through", e.Nearest, e.Reason)
		}
	})
}

func TestNearestIsNoChangeThatTheServerRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := make([]string, core.MaxACLEntries)
		for i := range long {
			long[i] = fmt.Sprint("user-", i)
		}
		e := explain(t, open(t, Set{}), &core.Subject{Username: "ann"}, ask(core.ActionRead, core.Intern(&core.ACL{Read: long}), around("app", "read: x")))
		if e.Nearest == nil || e.Nearest.Text != "Add ann to the admin list of namespace app" {
			t.Errorf("got %+v", e.Nearest)
		}
	})
}

func TestNearestAllowsAndTakesNothingFromOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		a := open(t, Set{})
		for range 400 {
			who, access := randomAccess(r)
			e := explain(t, a, who, access)
			if e.Nearest == nil {
				continue
			}
			i := slices.IndexFunc(a.candidates(who.Username, &access), func(c candidate) bool { return c.line == e.Nearest.Line })
			c := a.candidates(who.Username, &access)[i]
			if c.admins != nil {
				continue
			}
			if d := decide(t, a, who.Username, c.ask); !d.Allow {
				t.Fatalf("%s asks %+v: %s allows nothing: %+v", who.Username, access, e.Nearest.Text, d)
			}
			for _, other := range []string{"ann", "bob", "service:pay", "service:", "x"} {
				for _, action := range []core.Action{core.ActionRead, core.ActionCreate, core.ActionWrite, core.ActionDelete, core.ActionAdmin} {
					before, after := access, c.ask
					before.Action, after.Action = action, action
					if decide(t, a, other, before).Allow && !decide(t, a, other, after).Allow {
						t.Fatalf("%s takes %s from %s: %+v", e.Nearest.Text, action, other, access)
					}
				}
			}
		}
	})
}
