package policy

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/observability"
	"github.com/dynconfig/dynconfig/wire"
)

// guarded is an Engine whose policy's decisions are recorded.
type guarded struct {
	*recording
	*core.Engine
	asked int
}

func guard(t *testing.T, set Set) *guarded {
	t.Helper()
	r := record(t, set, RecordOptions{})
	b := memory.Open(memory.Options{})
	e, err := core.Open(t.Context(), b, core.Options{Authorizer: r.Authorizer, Audit: noAudit{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() { cancel(); _ = errors.Join(<-done, b.Close()) })
	return &guarded{recording: r, Engine: e}
}

type noAudit struct{}

func (noAudit) Append(...core.AuditEntry) {}

// as is a caller in a request of its own.
func (g *guarded) as(name string) core.Caller {
	g.asked++
	return core.Caller{
		Subject:     &core.Subject{Username: name, Claims: map[string]any{"secret": "pLanted-claim"}},
		Environment: "default", Address: "192.0.2.7", RequestID: "request-" + strconv.Itoa(g.asked),
	}
}

func (g *guarded) write(t *testing.T, c core.Caller, writes ...core.Write) error {
	t.Helper()
	_, err := g.Write(t.Context(), c, core.Request{Writes: writes})
	return err
}

func setting(name string, read ...string) core.Write {
	return core.Write{
		Op: core.WritePut, Kind: core.KindKey, Name: name, Value: []byte(`"pLanted-value"`), SetACL: read != nil, ACL: &core.ACL{Read: read},
	}
}

func (g *guarded) fill(t *testing.T) {
	t.Helper()
	for _, w := range []core.Write{setting("app.mine", "mallory"), setting("app.a", "ann"), setting("app.b", "ann"), setting("b.c")} {
		if err := g.write(t, g.as("admin-user"), w); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEveryRefusalIsFoundByItsRequest(t *testing.T) {
	g := guard(t, Set{Modules: map[string]string{"authz.rego": `package dynconfig.authz

decision := {"allow": false, "rule": "no-watching", "reason": "No"} if {
	input.action == "watch"
} else := {"allow": false, "rule": "no-listing", "reason": "No"} if {
	input.action == "list"
	input.resource.key == "secret"
} else := data.dynconfig.acl.decision`}})
	g.fill(t)
	get := func(c core.Caller, r core.Read) error {
		_, err := g.Get(t.Context(), c, r)
		return err
	}
	list := func(c core.Caller, f core.Filter) error {
		f.Kind = core.KindKey
		_, err := g.List(t.Context(), c, f)
		return err
	}
	patch := setting("app.a")
	patch.Op = core.WritePatch
	rule := setting("app.mine", "bob")
	remove := core.Write{Op: core.WriteDelete, Kind: core.KindKey, Name: "app.a"}
	purge := core.Write{Op: core.WritePurge, Kind: core.KindKey, Name: "app.a"}
	space := core.Write{Op: core.WritePut, Kind: core.KindNamespace, Name: "app", SetACL: true, ACL: &core.ACL{Read: []string{"*"}}}
	since := int64(1)
	for name, c := range map[string]struct {
		do   func(core.Caller) error
		keys []string // those that are refused, each in a record of its own
	}{
		"get": {func(c core.Caller) error { return get(c, core.Read{Kind: core.KindKey, Name: "app.a"}) }, []string{"app.a"}},
		"a held get": {func(c core.Caller) error {
			return get(c, core.Read{Kind: core.KindKey, Name: "app.a", Since: &since, Wait: time.Minute})
		}, []string{"app.a"}},
		"create":           {func(c core.Caller) error { return g.write(t, c, setting("app.new")) }, []string{"app.new"}},
		"put":              {func(c core.Caller) error { return g.write(t, c, setting("app.a")) }, []string{"app.a"}},
		"put of acls":      {func(c core.Caller) error { return g.write(t, c, rule) }, []string{"app.mine", "app.mine"}},
		"patch":            {func(c core.Caller) error { return g.write(t, c, patch) }, []string{"app.a"}},
		"delete":           {func(c core.Caller) error { return g.write(t, c, remove) }, []string{"app.a"}},
		"purge":            {func(c core.Caller) error { return g.write(t, c, purge) }, []string{"default"}},
		"a namespace":      {func(c core.Caller) error { return g.write(t, c, space) }, []string{"app"}},
		"batch":            {func(c core.Caller) error { return g.write(t, c, setting("app.a"), setting("app.b"), setting("new.k")) }, []string{"app.a", "app.b", "new.k"}},
		"list":             {func(c core.Caller) error { return list(c, core.Filter{Namespace: "secret"}) }, []string{"secret"}},
		"list for another": {func(c core.Caller) error { return list(c, core.Filter{Namespace: "app", Principal: "ann"}) }, []string{"app"}},
		"watch": {func(c core.Caller) error {
			w, err := g.Watch(t.Context(), c, func() {})
			if err != nil {
				return err
			}
			defer w.Close()
			w.Subscribe(core.Subscription{Patterns: []string{"app.*"}})
			_, _, err = w.Next(t.Context())
			return err
		}, []string{"app.*"}},
		"the policy": {func(c core.Caller) error {
			_, err := g.Require(t.Context(), c, core.Access{Action: core.ActionRead, Kind: core.KindPolicy, Key: core.PolicySet, Exists: true, Operation: "decisions"})
			return err
		}, []string{core.PolicySet}},
	} {
		for range 2 { // by an answer that is new, and by one that is kept
			caller := g.as("mallory")
			if err := c.do(caller); !errors.Is(err, core.ErrForbidden) {
				t.Errorf("%s: got %v, want it refused", name, err)
				continue
			}
			var keys []string
			for _, d := range g.find(t, wire.DecisionFilter{RequestID: caller.RequestID}) {
				if d.Allow || d.Principal != "mallory" || d.Rule == "" || d.Reason == "" {
					t.Errorf("%s: got %+v", name, d)
				}
				if !hidesByDesign(&d) {
					keys = append(keys, d.Key)
				}
			}
			if slices.Sort(keys); !slices.Equal(keys, c.keys) {
				t.Errorf("%s: the records are of %q, want %q", name, keys, c.keys)
			}
		}
	}
	if got := g.find(t, wire.DecisionFilter{Principal: "ann"}); len(got) > 0 {
		t.Errorf("ann has asked nothing, but is recorded: %+v", got)
	}
	text, err := os.ReadFile(filepath.Join(g.dir, observability.DecisionFile))
	if err != nil || strings.Contains(string(text), "pLanted") {
		t.Errorf("%v; a value or a claim is in %s", err, text)
	}
}

// hidesByDesign reports whether a record is of what a list left out before it was refused.
func hidesByDesign(d *wire.Decision) bool {
	return d.Operation == "list" && d.Kind == "key" && d.Action == "admin"
}

func TestWhatAListLeavesOutIsRecordedOnceWithACount(t *testing.T) {
	g := guard(t, Set{})
	g.fill(t)
	for range 5 {
		l, err := g.List(t.Context(), g.as("mallory"), core.Filter{Kind: core.KindKey})
		if err != nil || len(l.Names) != 1 {
			t.Fatalf("got %+v, %v", l, err)
		}
	}
	counts := map[string]int64{}
	for _, d := range g.find(t, wire.DecisionFilter{Principal: "mallory"}) {
		counts[d.Key] += d.Count
	}
	c := counts["b.c"] // app.a and app.b are alike; how often a list asks about each key is its own business
	if len(counts) != 2 || counts["app.a"] != 2*c || c < 5 || c%5 != 0 {
		t.Errorf("recorded are %v", counts)
	}
}
