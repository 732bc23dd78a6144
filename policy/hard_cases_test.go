package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/dynconfig/dynconfig/core"
)

const endless = `count([1 | some x in numbers.range(1, 1000000); some y in numbers.range(1, 1000000); x == y + 1000000]) == 0`

func TestARunThatLoopsIsDeniedAndCountedWhileOthersAreServed(t *testing.T) {
	a := open(t, module("decision := {\"allow\": true, \"rule\": \"looped\"} if {\n\tinput.subject.username == \"looper\"\n\t"+endless+"\n} else := {\"allow\": true, \"rule\": \"served\"}"))
	served := make(chan struct{})
	var looping sync.WaitGroup
	looping.Go(func() {
		for runs := 0; ; runs++ {
			d, err := a.Authorize(t.Context(), &core.Subject{Username: "looper"}, ask(core.ActionRead, nil, nil))
			if err != nil || d.Allow || d.Rule != RuleError || !d.Late {
				t.Errorf("got %+v, %v, want a late denial by %s", d, err, RuleError)
			}
			select {
			case <-served:
				if got := a.Stats().Errors; got < uint64(runs+1) {
					t.Errorf("%d failures are counted after %d runs that looped", got, runs+1)
				}
				return
			default:
			}
		}
	})
	var others sync.WaitGroup
	for i := range 64 {
		others.Go(func() {
			who := &core.Subject{Username: fmt.Sprint("user", i)}
			for range 1000 { // a machine that is busy with other things may make this one late, too
				d, err := a.Authorize(t.Context(), who, ask(core.ActionRead, nil, nil))
				if err == nil && d.Allow && d.Rule == "served" {
					return
				}
				if err != nil || !d.Late {
					t.Errorf("got %+v, %v, want served", d, err)
					return
				}
			}
			t.Errorf("%s was never served", who.Username)
		})
	}
	others.Wait()
	close(served)
	looping.Wait()
}

func TestEveryForbiddenBuiltinIsRefusedWithItsPlace(t *testing.T) {
	forbidden := []string{
		"http.send", "net.lookup_ip_addr", "opa.runtime", "rand.intn", "uuid.rfc4122", "io.jwt.encode_sign", "io.jwt.encode_sign_raw",
		"json.match_schema", "json.verify_schema", "rego.parse_module", "regex.globs_match",
	}
	for _, name := range forbidden {
		b := ast.BuiltinMap[name]
		if b == nil {
			t.Errorf("there is no builtin %s: the list is out of date", name)
			continue
		}
		call := name + "(" + strings.TrimSuffix(strings.Repeat("input, ", len(b.Decl.FuncArgs().Args)), ", ") + ")"
		for place, body := range map[string]string{
			"in a rule":           "decision := {\"allow\": true} if {\n\t" + call + "\n}",
			"in a function":       "decision := {\"allow\": f(1)}\n\nf(x) := " + call + " if x",
			"in a comprehension":  "decision := {\"allow\": count([1 | " + call + "]) > 0}",
			"where no rule leads": "decision := {\"allow\": true}\n\nunused := " + call,
			"as a replacement":    "decision := {\"allow\": x} if x := data.dynconfig.acl.decision.allow with json.marshal as " + name,
		} {
			_, err := New(t.Context(), Options{Admins: []string{"admin-user"}, Set: module(body)})
			var e *core.Error
			if !errors.Is(err, core.ErrInvalid) || !errors.As(err, &e) || len(e.Fields) == 0 || !strings.HasPrefix(e.Fields[0].Path, "authz.rego:") {
				t.Errorf("%s %s: got %v, want it refused with file and line", name, place, err)
			}
		}
	}
	for _, b := range capabilities(nil).Builtins {
		if slices.Contains(forbidden, b.Name) || strings.HasPrefix(b.Name, "io.jwt.encode_sign") {
			t.Errorf("%s is available", b.Name)
		}
	}
}

func TestPrincipalsNeverBreakOutOfTheInput(t *testing.T) {
	names := []string{
		`"`, `\`, `"}}`, `ann","claims":{"admin":true}`, "a\u2028b", "{{.}}", "input.subject", "data.dynconfig.config.admins", "true", "null", "0", "[]",
		"admin-user ", "admin-user\u200b", "ADMIN-USER", "admin\u2010user", "\u0430dmin-user", "*", "a*", "service:*", "%s%d", "line\nbreak", "nul\x00byte",
	}
	echo := open(t, module(`decision := {"allow": true, "rule": input.subject.username, "reason": sprintf("%d", [count(input.subject)])}`))
	shipped := open(t, Set{})
	for _, name := range names {
		if d := decide(t, echo, name, ask(core.ActionRead, nil, nil)); d.Rule != name || d.Reason != "1" && d.Reason != "2" {
			t.Errorf("%q arrives as %q beside %s members", name, d.Rule, d.Reason)
		}
		own := core.Intern(&core.ACL{Read: []string{"admin-user", "b" + strings.TrimRight(name, "*")}})
		if d := decide(t, shipped, name, ask(core.ActionRead, own, nil)); d.Allow {
			t.Errorf("%q is allowed by %s, in whose lists it does not stand", name, d.Rule)
		}
		for _, other := range names {
			if exact := core.Intern(&core.ACL{Read: []string{other}}); !strings.HasSuffix(other, "*") {
				if d := decide(t, shipped, name, ask(core.ActionRead, exact, nil)); d.Allow != (name == other) {
					t.Errorf("%q asks of a key of %q alone: allowed %v", name, other, d.Allow)
				}
			}
		}
	}
}

func TestPrefixesAreComparedByteByByte(t *testing.T) {
	a := open(t, Set{})
	read := func(entry string) core.Access {
		return ask(core.ActionRead, core.Intern(&core.ACL{Read: []string{entry}}), nil)
	}
	check(t, a, []corner{
		{"日本", read("\xe6\x97*"), "key-read"}, // half of a letter: such an entry is refused when it is written, and harmless if it is there
		{"早", read("\xe6\x97*"), "key-read"},
		{"月", read("\xe6\x97*"), "no-read"},
		{"cafe\u0301s", read("cafe*"), "key-read"}, // the accent is a letter of its own
		{"caf\u00e9s", read("cafe*"), "no-read"},
		{"caf\u00e9s", read("caf\u00e9*"), "key-read"},
		{"cafe\u0301s", read("caf\u00e9*"), "no-read"},
		{"Straße", read("STRASSE*"), "no-read"},
		{"a*b", read("a**"), "key-read"}, // neither can be; one star ends the entry, the other is a letter
		{"ab", read("a**"), "no-read"},
		{"team.x", read("team/*"), "no-read"},
		{"team:", read("team:*"), "key-read"},
		{"tea", read("team*"), "no-read"},
	})
}

func TestNamespaces32DeepAreDecided(t *testing.T) {
	a := open(t, Set{})
	var links []core.Link
	name := ""
	for i := range core.MaxSegments - 1 {
		name = strings.TrimPrefix(name+"."+fmt.Sprint("n", i), ".")
		acl := &core.ACL{Admin: []string{fmt.Sprint("admin", i)}}
		if i == 0 {
			acl.Read = []string{"outermost"}
		}
		links = append(links, core.Link{Namespace: name, Rules: core.Intern(acl)})
	}
	deep := ask(core.ActionRead, nil, core.InternChain(links))
	if deep.Key = name + ".key"; core.CheckName(deep.Key) != nil || core.CheckName(deep.Key+".more") == nil {
		t.Fatalf("%s is not as deep as a key may be", deep.Key)
	}
	corners := []corner{{"outermost", deep, "namespace-read"}, {"nobody", deep, "no-read"}}
	for i := range links {
		corners = append(corners, corner{fmt.Sprint("admin", i), deep, "namespace-admin"})
	}
	check(t, a, corners)
	shadowed := slices.Clone(links)
	shadowed[len(links)-1].Rules = core.Intern(&core.ACL{Read: []string{}})
	deep.Chain = core.InternChain(shadowed)
	check(t, a, []corner{{"outermost", deep, "no-read"}, {"admin0", deep, "namespace-admin"}})
}

func TestAMemberMoreOfADecisionDoesNotMatter(t *testing.T) {
	for _, body := range []string{
		`decision := {"allow": true, "rule": "r", "reason": "y", "obligations": ["log"], "ttl": 3}`,
		`decision := {"allow": true, "rule": "r", "reason": "y", "grant": {"source": "key", "since": 1}}`,
		`decision := {"allow": true, "rule": "r", "reason": "y", "Allow": false, "deny": true}`,
	} {
		if d := decide(t, open(t, module(body)), "ann", ask(core.ActionRead, nil, nil)); !d.Allow || d.Rule != "r" || d.Reason != "y" {
			t.Errorf("%s: got %+v", body, d)
		}
	}
}

func TestADecisionOfWrongTypesIsVoidAsAWhole(t *testing.T) {
	void := map[string]string{}
	for _, v := range []string{`1`, `null`, `true`, `[]`, `{}`, `{1}`, `["x"]`} {
		void["rule "+v] = `"rule": ` + v
		void["reason "+v] = `"reason": ` + v
		if v != "{}" {
			void["grant "+v] = `"grant": ` + v
		}
		for _, member := range []string{"source", "name", "list", "entry"} {
			void["grant."+member+" "+v] = `"grant": {"` + member + `": ` + v + `}`
		}
	}
	for name, member := range void {
		a := open(t, module(`decision := {"allow": true, `+member+`}`))
		if d := decide(t, a, "admin-user", ask(core.ActionRead, nil, nil)); d.Allow || d.Rule != RuleError || d.Grant != nil {
			t.Errorf("%s: got %+v, want a denial by %s", name, d, RuleError)
		}
	}
}

func TestReloadUnder64ReadersIsNeverMixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := func(n int) Set {
			s := module(fmt.Sprintf(`decision := {"allow": true, "rule": sprintf("%%s %%s %%d", [data.mine, data.other.part, %d]), "reason": data.dynconfig.config.admins[0]}`, n))
			s.Modules["other.rego"] = fmt.Sprintf("package other\n\npart := sprintf(\"%d\", [])", n)
			s.Data = map[string]any{"mine": fmt.Sprint(n)}
			return s
		}
		const reloads = 20
		a := open(t, set(0))
		whole := map[string]bool{}
		for n := range reloads {
			whole[fmt.Sprintf("%d %d %d", n, n, n)] = true
		}
		stop := make(chan struct{})
		var readers sync.WaitGroup
		for i := range 64 {
			readers.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
						runtime.Gosched() // else 64 that never wait keep the reload from its turn
					}
					d, err := a.Authorize(t.Context(), &core.Subject{Username: fmt.Sprint("user", i, n%3)}, ask(core.ActionRead, nil, nil))
					if err != nil || !whole[d.Rule] || d.Reason != "admin-user" {
						t.Errorf("got %+v, %v: parts of two policies", d, err)
						return
					}
				}
			})
		}
		for n := range reloads {
			if err := a.Load(t.Context(), set(n)); err != nil {
				t.Error(err)
			}
			if d := decide(t, a, "after", ask(core.ActionRead, nil, nil)); d.Rule != fmt.Sprintf("%d %d %d", n, n, n) {
				t.Errorf("after reload %d the answer is of %s", n, d.Rule)
			}
		}
		close(stop)
		readers.Wait()
	})
}

func TestClaimsBeyond53BitsAreToldApartAlsoFromTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, body := range map[string]string{
			"one claim":  `decision := {"allow": input.subject.claims.id == 9007199254740993}`,
			"all claims": "decision := {\"allow\": 9007199254740993 in ids}\n\nids := {v | some v in input.subject.claims}",
			"deep":       `decision := {"allow": input.subject.claims.id == 9007199254740993, "reason": json.marshal(input.subject.claims.deep[0].x)}`,
			"a sum":      `decision := {"allow": input.subject.claims.id - 9007199254740992 == 1}`,
		} {
			a := open(t, module(body))
			for range 2 {
				for number, want := range map[string]bool{"9007199254740993": true, "9007199254740992": false, "9007199254740994": false} {
					who := &core.Subject{Username: "ann", Claims: map[string]any{"id": json.Number(number), "deep": []any{map[string]any{"x": json.Number(number)}}}}
					d, err := a.Authorize(t.Context(), who, ask(core.ActionRead, nil, nil))
					if err != nil || d.Allow != want {
						t.Errorf("%s, claim %s: got %+v, %v, want allow %v", name, number, d, err, want)
					}
					if name == "deep" && d.Reason != number {
						t.Errorf("claim %s is shown as %s", number, d.Reason)
					}
				}
			}
			if s := a.Stats(); s.Hits != 3 {
				t.Errorf("%s: %d answers came from the cache, want the second of each", name, s.Hits)
			}
		}
	})
}

func TestACachedAnswerLastsUntilSomethingThatItDependsOnChanges(t *testing.T) {
	reading := map[string]string{
		"nothing": `true`, "key": `input.resource.key != ""`, "operation": `input.request.operation != ""`, "changes": `count(input.request.changes) < 9`,
		"address": `input.request.address != ""`, "claim level": `input.subject.claims.level > 0`, "claim team": `input.subject.claims.team != ""`,
	}
	for read, condition := range reading {
		t.Run(read, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // where nothing is late
				set := module("decision := {\"allow\": true} if {\n\t" + condition + "\n}")
				a := open(t, set)
				who, access := plain()
				fresh := func(what string, who *core.Subject, access core.Access, want uint64) {
					t.Helper()
					if _, n := counted(t, a, who, access); n != want {
						t.Errorf("%s: %d runs, want %d", what, n, want)
					}
				}
				fresh("the first time", who, access, 1)
				for _, v := range variants() {
					changed := &core.Subject{Username: who.Username, Claims: maps.Clone(who.Claims)}
					other := access
					v.change(changed, &other)
					depends := slices.Contains([]string{"username", "environment", "kind", "action", "exists", "acl", "chain", read}, v.name)
					want := uint64(0)
					if depends {
						want = 1
					}
					fresh("another "+v.name, changed, other, want)
					fresh("another "+v.name+" again", changed, other, 0)
					fresh("what it was before another "+v.name, who, access, 0)
				}
				same, again := plain() // equal content, made anew
				fresh("equal lists", same, again, 0)
				if err := a.Load(t.Context(), set); err != nil {
					t.Fatal(err)
				}
				fresh("the same policy again", who, access, 0)
				set.Data = map[string]any{"x": 1}
				if err := a.Load(t.Context(), set); err != nil {
					t.Fatal(err)
				}
				fresh("other data", who, access, 1)
				fresh("other data again", who, access, 0)
				set.Data = nil
				if err := a.Load(t.Context(), set); err != nil {
					t.Fatal(err)
				}
				fresh("the policy of before, under another generation", who, access, 1)
			})
		})
	}
}
