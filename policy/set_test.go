package policy

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/dynconfig/dynconfig/core"
)

func TestServerWithoutAnExactAdminDoesNotStart(t *testing.T) {
	for _, admins := range [][]string{nil, {}, {"*"}, {""}, {"ann", "*"}, {"ann*"}, {" ann"}, {"a\nb"}} {
		a, err := New(t.Context(), Options{Admins: admins})
		var e *core.Error
		if !errors.As(err, &e) || !strings.Contains(e.Detail, "ADMINS") || strings.Contains(e.Detail, "\n") {
			t.Errorf("admins %q: got %v, %v, want one sentence about ADMINS", admins, a, err)
		}
	}
}

func TestSetThatIsNotValidIsRefusedWithFileAndLine(t *testing.T) {
	for name, c := range map[string]struct {
		set  Set
		says string
	}{
		"nothing":                     {also(""), "more.rego: empty module"},
		"syntax":                      {module(`decision := {`), "authz.rego:3"},
		"unknown function":            {module(`decision := {"allow": nothing(1)}`), "authz.rego:3"},
		"unsafe variable":             {module(`decision := {"allow": x}`), "authz.rego:3"},
		"strict: unused variable":     {module("decision := {\"allow\": true} if {\n\tx := 1\n}"), "authz.rego:4"},
		"strict: shadowed input":      {module("decision := {\"allow\": f(1)}\n\nf(input) := true"), "authz.rego:5"},
		"no decision":                 {module(`allow := true`), "does not define data.dynconfig.authz.decision"},
		"another package only":        {Set{Modules: map[string]string{"a.rego": "package other\n\nx := 1"}}, "does not define"},
		"version 0 syntax":            {module(`decision[x] { x := 1 }`), "authz.rego:3"},
		"the shipped rules":           {also("package dynconfig.acl\n\nx := 1"), "server's own"},
		"below the shipped rules":     {also("package dynconfig.acl.deeper\n\nx := 1"), "server's own"},
		"the shipped rules by a rule": {also("package dynconfig\n\nacl.x := 1"), "server's own"},
		"around the shipped rules":    {also("package dynconfig\n\nacl := {}"), "server's own"},
		"by a variable":               {also("package dynconfig\n\nacl[x] := 1 if some x in [\"decision\"]"), "server's own"},
		"the configuration":           {also("package dynconfig.config\n\nadmins := [\"eve\"]"), "server's own"},
		"the configuration by a rule": {also("package dynconfig\n\nconfig.admins := [\"eve\"]"), "server's own"},
		"the configuration as data":   {Set{Data: map[string]any{"dynconfig": map[string]any{"config": 1}}}, "server's own"},
		"data that is not JSON":       {Set{Data: map[string]any{"x": make(chan int)}}, "not JSON"},
		"data where rules stand":      {Set{Modules: map[string]string{"a.rego": "package x\n\ny := 1"}, Data: map[string]any{"x": map[string]any{"y": 2}}}, "a.rego"},
	} {
		_, err := New(t.Context(), Options{Admins: []string{"admin-user"}, Set: c.set})
		if !errors.Is(err, core.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want it refused with %q", name, err, c.says)
		}
		if e := (*core.Error)(nil); !errors.As(err, &e) || len(e.Fields) == 0 || e.Fields[0].Path == "" || e.Fields[0].Reason == "" {
			t.Errorf("%s: %v says not where", name, err)
		}
	}
}

// also makes a valid set with one module more.
func also(text string) Set {
	set := module(`decision := data.dynconfig.acl.decision`)
	set.Modules["more.rego"] = text
	return set
}

func TestWhatReachesOutsideIsNotAvailable(t *testing.T) {
	for _, call := range []string{
		`http.send({"method": "get", "url": "http://127.0.0.1"})`, `net.lookup_ip_addr("localhost")`, `opa.runtime()`, `rand.intn("x", 2)`,
		`uuid.rfc4122("x")`, `io.jwt.encode_sign({}, {}, {})`, `io.jwt.encode_sign_raw("", "", "")`, `json.match_schema({}, {})`,
		`json.verify_schema({})`, `rego.parse_module("x", "package x")`, `regex.globs_match("a", "b")`,
	} {
		_, err := New(t.Context(), Options{Admins: []string{"admin-user"}, Set: module(`decision := {"allow": true} if ` + call)})
		if !errors.Is(err, core.ErrInvalid) || !strings.Contains(err.Error(), "undefined function") {
			t.Errorf("%s: got %v, want undefined function", call, err)
		}
	}
}

func TestHTTPReachesAllowedHostsAlone(t *testing.T) {
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	defer server.Close()
	for host, want := range map[string]bool{"127.0.0.1": true, "policy.invalid": false} {
		before := calls.Load()
		a, err := New(t.Context(), Options{
			Admins: []string{"admin-user"}, Hosts: []string{host},
			Set: module(`decision := {"allow": http.send({"method": "get", "url": "` + server.URL + `"}).status_code == 200}`),
		})
		if err != nil {
			t.Fatal(err)
		}
		if d := decide(t, a, "ann", ask(core.ActionRead, nil, nil)); d.Allow != want || (calls.Load() > before) != want {
			t.Errorf("with %s allowed: got %+v after %d calls, want allow %v", host, d, calls.Load()-before, want)
		}
	}
}

func TestSetMayAddToAndNarrowTheShippedRules(t *testing.T) {
	a := open(t, Set{
		Modules: map[string]string{"mine.rego": `package dynconfig.authz

decision := {"allow": false, "rule": "frozen", "reason": "Frozen"} if {
	input.action in data.frozen.actions
	not input.subject.username in data.dynconfig.config.admins
} else := data.dynconfig.acl.decision`},
		Data: map[string]any{"frozen": map[string]any{"actions": []any{"write"}}},
	})
	d := decide(t, a, "ann", ask(core.ActionWrite, lists("write: ann"), nil))
	if d.Allow || d.Rule != "frozen" {
		t.Errorf("got %+v, want frozen", d)
	}
	check(t, a, []corner{
		{"ann", ask(core.ActionRead, lists("read: ann"), nil), "key-read"},
		{"admin-user", ask(core.ActionWrite, nil, nil), "server-admin"},
	})
}

func TestRefusedSetLeavesThePresentOne(t *testing.T) {
	a := open(t, module(`decision := {"allow": true, "rule": "one"}`))
	generation := a.Generation()
	if err := a.Load(t.Context(), module(`decision := {`)); err == nil {
		t.Fatal("broken set was loaded")
	}
	if d := decide(t, a, "ann", ask(core.ActionRead, nil, nil)); d.Rule != "one" || a.Generation() != generation {
		t.Errorf("got %+v, generation %d, want rule one, generation %d", d, a.Generation(), generation)
	}
}

func TestReloadIsAtomicUnderReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sets := []Set{
			module(`decision := {"allow": true, "rule": "even", "reason": "even"}`),
			module(`decision := {"allow": false, "rule": "odd", "reason": "odd"}`),
		}
		a := open(t, sets[0])
		first := a.Generation()
		stop := make(chan struct{})
		var readers sync.WaitGroup
		for range 64 {
			readers.Go(func() {
				who := &core.Subject{Username: "ann"}
				for {
					select {
					case <-stop:
						return
					default:
						runtime.Gosched() // else 64 that never wait keep the reload from its turn
					}
					before := a.Generation()
					d, err := a.Authorize(t.Context(), who, ask(core.ActionRead, nil, nil))
					after := a.Generation()
					even := d.Allow && d.Rule == "even" && d.Reason == "even"
					odd := !d.Allow && d.Rule == "odd" && d.Reason == "odd"
					if err != nil || !even && !odd {
						t.Errorf("got %+v, %v: parts of both sets", d, err)
						return
					}
					if before == after && even != ((before-first)%2 == 0) {
						t.Errorf("generation %d answered by %s", before, d.Rule)
						return
					}
				}
			})
		}
		seen := map[uint64]bool{first: true}
		for i := range 50 {
			if err := a.Load(t.Context(), sets[(i+1)%2]); err != nil {
				t.Fatal(err)
			}
			if g := a.Generation(); seen[g] {
				t.Errorf("generation %d was used before", g)
			}
			seen[a.Generation()] = true
		}
		close(stop)
		readers.Wait()
	})
}

func TestLargestACLsAreDecided(t *testing.T) {
	names, prefixes := make([]string, core.MaxACLEntries), make([]string, core.MaxACLPrefixes)
	for i := range names {
		names[i] = "user-" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i/26%97)
	}
	names[len(names)-1] = "last"
	for i := range prefixes {
		prefixes[i] = "group" + strings.Repeat("z", i/26) + string(rune('a'+i%26)) + ":*"
	}
	prefixes[len(prefixes)-1] = "last:*"
	a := open(t, Set{})
	long := core.Intern(&core.ACL{Read: names})
	wide := core.InternChain([]core.Link{{Namespace: "app", Rules: core.Intern(&core.ACL{Write: prefixes})}})
	check(t, a, []corner{
		{"last", ask(core.ActionRead, long, wide), "key-read"},
		{"none", ask(core.ActionRead, long, wide), "no-read"},
		{"last:one", ask(core.ActionWrite, long, wide), "namespace-write"},
		{"none:one", ask(core.ActionWrite, long, wide), "no-write"},
	})
	var links []core.Link
	for i := range core.MaxSegments {
		links = append(links, core.Link{Namespace: strings.Repeat("n.", i) + "n", Rules: long})
	}
	check(t, a, []corner{
		{"last", ask(core.ActionRead, nil, core.InternChain(links)), "namespace-read"},
		{"none", ask(core.ActionRead, nil, core.InternChain(links)), "no-read"},
	})
}
