package authoring_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/policy/authoring"
	"github.com/dynconfig/dynconfig/wire"
)

// asked is a Manager over a running Engine whose namespace app is administered by lead.
type asked struct {
	*authoring.Manager
	engine     *core.Engine
	authorizer *policy.Authorizer
	denials    *denials
}

// denials is an Audit that remembers who was denied what.
type denials struct {
	mu   sync.Mutex
	list []string
}

func (d *denials) Append(entries ...core.AuditEntry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range entries {
		if e.Outcome == core.OutcomeDenied {
			d.list = append(d.list, e.Actor+" "+e.Action+" "+string(e.Kind)+" "+e.Key)
		}
	}
}

func (d *denials) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.list)
}

func ask(t *testing.T, set policy.Set, hideDenied bool) *asked {
	t.Helper()
	now := func() time.Time { return time.Unix(1_700_000_000, 0) }
	authorizer, err := policy.New(t.Context(), policy.Options{Admins: []string{"admin-user"}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	a := &asked{authorizer: authorizer, denials: &denials{}}
	a.engine, err = core.Open(t.Context(), memory.Open(memory.Options{}), core.Options{Authorizer: authorizer, Audit: a.denials, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = a.engine.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	a.Manager, err = authoring.Open(t.Context(), authoring.Options{Engine: a.engine, Authorizer: authorizer, HideDenied: hideDenied, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	acl := func(kind core.Kind, name string, acl *core.ACL) core.Write {
		w := core.Write{Op: core.WritePut, Kind: kind, Name: name, ACL: acl, SetACL: true}
		if kind == core.KindKey {
			w.Value = []byte(`1`)
		}
		return w
	}
	_, err = a.engine.Write(t.Context(), by("admin-user"), core.Request{Writes: []core.Write{
		acl(core.KindNamespace, "app", &core.ACL{Read: []string{"service:*"}, Admin: []string{"lead"}}),
		acl(core.KindKey, "app.open", nil),
		acl(core.KindKey, "app.closed", &core.ACL{Read: []string{"eve"}}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := authorizer.Load(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	return a
}

func by(name string) core.Caller {
	return core.Caller{Subject: &core.Subject{Username: name, Claims: map[string]any{"team": "blue"}}, Environment: "default", Address: "192.0.2.7", RequestID: "r"}
}

func about(name string) *wire.Asker { return &wire.Asker{Username: name} }

func (a *asked) explain(t *testing.T, who string, q wire.Question) wire.Explanation {
	t.Helper()
	e, err := a.Explain(t.Context(), by(who), q)
	if err != nil {
		t.Fatalf("%s asks %+v: %v", who, q, err)
	}
	return e
}

func TestEveryoneMayHaveTheirOwnAccessExplained(t *testing.T) {
	a := ask(t, policy.Set{}, false)
	for _, subject := range []*wire.Asker{nil, about("service:pay")} {
		e := a.explain(t, "service:pay", wire.Question{Subject: subject, Action: "read", Key: "app.open"})
		if !e.Allow || e.Rule != "namespace-read" || e.File != "acl.rego" || *e.Grant != (wire.Line{Source: "namespace", Name: "app", List: "read", Entry: "service:*"}) {
			t.Errorf("got %+v", e)
		}
		e = a.explain(t, "service:pay", wire.Question{Subject: subject, Action: "read", Key: "app.closed"})
		if e.Allow || e.Nearest.Text != "Add service:pay to the read list of key app.closed" || strings.Contains(string(e.Input), "eve") || strings.Contains(string(e.Input), "lead") {
			t.Errorf("got %+v with %s", e, e.Input)
		}
	}
	if e := a.explain(t, "lead", wire.Question{Action: "read", Key: "app.closed"}); !strings.Contains(string(e.Input), "eve") {
		t.Errorf("an admin of the item is not shown its lists: %s", e.Input)
	}
	if list := a.denials.all(); len(list) > 0 {
		t.Errorf("explanations are audited as denials: %q", list)
	}
}

func TestOnesOwnClaimsAreThoseOfTheToken(t *testing.T) {
	set := policy.Set{Modules: map[string]string{"authz.rego": "package dynconfig.authz\n\ndecision := {\"allow\": true, \"rule\": \"team\"} if {\n\tinput.subject.claims.team == \"blue\"\n} else := data.dynconfig.acl.decision\n"}}
	a := ask(t, set, false)
	if e := a.explain(t, "ann", wire.Question{Action: "read", Key: "app.closed"}); !e.Allow || e.Rule != "team" || e.File != "authz.rego" || e.Line != 3 {
		t.Errorf("got %+v", e)
	}
	red := &wire.Asker{Username: "ann", Claims: map[string]any{"team": "red"}}
	if e := a.explain(t, "admin-user", wire.Question{Subject: red, Action: "read", Key: "app.closed"}); e.Allow {
		t.Errorf("got %+v", e)
	}
	if e := a.explain(t, "admin-user", wire.Question{Subject: about("ann"), Action: "read", Key: "app.closed"}); e.Allow {
		t.Errorf("without claims: got %+v", e)
	}
}

func TestAccessOfOthersIsExplainedToAdminsOfTheItemAlone(t *testing.T) {
	a := ask(t, policy.Set{}, false)
	for _, q := range []wire.Question{
		{Subject: about("eve"), Action: "read", Key: "app.open"},
		{Subject: &wire.Asker{Username: "service:pay", Claims: map[string]any{}}, Action: "read", Key: "app.open"},
		{Subject: about("eve"), Action: "list", Key: "app"},
		{Subject: about("eve"), Action: "watch", Key: "app.*"},
		{Subject: about("eve"), Action: "read", Kind: "namespace", Key: "app"},
	} {
		if _, err := a.Explain(t.Context(), by("service:pay"), q); !errors.Is(err, core.ErrForbidden) {
			t.Errorf("%+v of another: got %v", q, err)
		}
		a.explain(t, "lead", q)
		if q.Subject.Username == "eve" {
			if _, err := a.WhoCan(t.Context(), by("service:pay"), q); !errors.Is(err, core.ErrForbidden) {
				t.Errorf("who can %+v: got %v", q, err)
			}
			if _, err := a.WhoCan(t.Context(), by("lead"), q); err != nil {
				t.Errorf("who can %+v: got %v", q, err)
			}
		}
	}
	for _, q := range []wire.Question{
		{Subject: about("eve"), Action: "read", Kind: "policy"},
		{Subject: about("eve"), Action: "admin", Kind: "environment", Key: "other"},
		{Subject: about("eve"), Action: "read", Kind: "audit"},
	} {
		if _, err := a.Explain(t.Context(), by("lead"), q); !errors.Is(err, core.ErrForbidden) {
			t.Errorf("%+v: got %v", q, err)
		}
		if e := a.explain(t, "admin-user", q); e.Allow || e.Nearest == nil || e.Nearest.Source != "server" {
			t.Errorf("%+v: got %+v", q, e)
		}
	}
	if list := a.denials.all(); !slices.Contains(list, "service:pay admin key app.open") || !slices.Contains(list, "service:pay admin namespace app") {
		t.Errorf("audited denials are %q", list)
	}
}

func TestWhoCanAsksThePolicyAboutTheItemAsItIs(t *testing.T) {
	a := ask(t, policy.Set{}, false)
	for key, want := range map[string][]string{
		"app.open": {"admin-user", "lead", "service:*"}, "app.closed": {"admin-user", "eve", "lead"}, "app.absent": {"admin-user", "lead", "service:*"},
	} {
		w, err := a.WhoCan(t.Context(), by("lead"), wire.Question{Action: "read", Key: key})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, h := range w.Principals {
			got = append(got, h.Principal)
		}
		if !slices.Equal(got, want) || w.Partial {
			t.Errorf("%s: got %q, partial %v, want %q", key, got, w.Partial, want)
		}
	}
}

func TestExplanationAgreesWithWhatTheEngineDoes(t *testing.T) {
	a := ask(t, policy.Set{}, false)
	for _, who := range []string{"admin-user", "lead", "eve", "service:pay", "ann"} {
		for _, key := range []string{"app.open", "app.closed"} {
			_, err := a.engine.Get(t.Context(), by(who), core.Read{Kind: core.KindKey, Name: key})
			e := a.explain(t, who, wire.Question{Action: "read", Key: key})
			if e.Allow != (err == nil) {
				t.Errorf("%s reads %s: explained as %v, done as %v", who, key, e.Allow, err)
			}
			if denied := (*core.Error)(nil); errors.As(err, &denied) && denied.Detail != e.Reason {
				t.Errorf("%s reads %s: explained as %q, denied with %q", who, key, e.Reason, denied.Detail)
			}
		}
	}
}

func TestHiddenItemIsExplainedAsAnAbsentOne(t *testing.T) {
	a := ask(t, policy.Set{}, true)
	for _, who := range []string{"service:pay", "ann"} {
		for _, action := range []string{"read", "create", "write", "delete", "admin"} {
			var texts []string
			for _, key := range []string{"app.closed", "app.absent"} {
				e := a.explain(t, who, wire.Question{Action: action, Key: key})
				text, err := json.Marshal(e)
				if err != nil {
					t.Fatal(err)
				}
				texts = append(texts, strings.ReplaceAll(string(text), key, "app.it"))
			}
			if texts[0] != texts[1] {
				t.Errorf("%s asks %s: hidden %s\nabsent %s", who, action, texts[0], texts[1])
			}
		}
	}
	if e := a.explain(t, "eve", wire.Question{Action: "read", Key: "app.closed"}); !e.Allow || e.Rule != "key-read" {
		t.Errorf("who may read it: got %+v", e)
	}
	if e := a.explain(t, "lead", wire.Question{Subject: about("ann"), Action: "read", Key: "app.closed"}); e.Nearest.Text != "Add ann to the read list of key app.closed" {
		t.Errorf("its admin: got %+v", e.Nearest)
	}
}

func TestQuestionThatIsNoneIsRefused(t *testing.T) {
	a := ask(t, policy.Set{}, false)
	for _, c := range []struct {
		q    wire.Question
		path string
	}{
		{wire.Question{Action: "steal", Key: "app.open"}, "action"},
		{wire.Question{Key: "app.open"}, "action"},
		{wire.Question{Action: "read", Kind: "idempotency", Key: "x"}, "kind"},
		{wire.Question{Action: "read", Key: "a//b"}, "key"},
		{wire.Question{Action: "read"}, "key"},
		{wire.Question{Action: "read", Kind: "namespace"}, "namespace"},
		{wire.Question{Action: "watch", Key: "a*"}, "pattern"},
		{wire.Question{Action: "read", Kind: "environment", Key: "No"}, "env"},
		{wire.Question{Action: "read", Key: "app.open", Subject: about("a*")}, "subject.username"},
	} {
		for _, who := range []string{"ann", "admin-user"} {
			_, err := a.Explain(t.Context(), by(who), c.q)
			if e := (*core.Error)(nil); !errors.As(err, &e) || !errors.Is(e, core.ErrInvalid) || len(e.Fields) == 0 || e.Fields[0].Path != c.path {
				t.Errorf("%+v: got %v, want 422 about %s", c.q, err, c.path)
			}
		}
	}
	if _, err := a.Explain(t.Context(), by("ann"), wire.Question{Action: "read", Key: "app.open", Environment: "none"}); !errors.Is(err, core.ErrNotFound) {
		t.Errorf("in an environment that does not exist: got %v", err)
	}
	nobody := by("ann")
	nobody.Subject = nil
	if _, err := a.Explain(t.Context(), nobody, wire.Question{Action: "read", Key: "app.open"}); !errors.Is(err, core.ErrUnauthenticated) {
		t.Errorf("without a subject: got %v", err)
	}
}
