package authoring_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

func TestASetIsInForceHereWhenItIsPutAndElsewhereSoonAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deploy()
		a, b := d.start(t, settings{}), d.start(t, settings{})
		if s := a.state(t); s.Source != "shipped" || s.Revision == "" || len(s.Modules) != 0 {
			t.Errorf("before: %+v", s)
		}
		sent := without("delete")
		sent.Note, sent.Data = "why", []byte(`{"limit":12345678901234567890}`)
		put := a.put(t, sent, wire.PutPolicy{})
		if !a.forbids(t, core.ActionDelete) {
			t.Error("it is not in force where it was put")
		}
		if put.Source != "server" || put.Author != "admin-user" || put.Note != "why" || string(put.Data) != `{"limit":12345678901234567890}` {
			t.Errorf("put answers %+v", put)
		}
		time.Sleep(soon)
		if s := b.state(t); !b.forbids(t, core.ActionDelete) || s.Revision != put.Revision {
			t.Errorf("elsewhere it is %+v", s)
		}
		if <-a.audit.list != "admin-user admin allowed" {
			t.Error("it is not in the audit log")
		}
	})
}

func TestWhatIsNotFitIsRefusedByFileAndLineAndTheRunningSetStays(t *testing.T) {
	a := deploy().start(t, settings{})
	before := a.put(t, without("delete"), wire.PutPolicy{})
	module := func(name, text string) wire.PolicySet { return wire.PolicySet{Modules: map[string]string{name: text}} }
	big := strings.Repeat("#", core.MaxValue)
	for name, c := range map[string]struct {
		set  wire.PolicySet
		kind error
		says string
	}{
		"no Rego":             {module("a.rego", "package dynconfig.authz\n\ndecision := {"), core.ErrInvalid, "a.rego:3"},
		"not strict":          {module("a.rego", shippedFirst+"f(x) := 1\n"), core.ErrInvalid, "a.rego:3"},
		"no decision":         {module("a.rego", "package teams"), core.ErrInvalid, "decision"},
		"the server's rules":  {module("a.rego", "package dynconfig.acl\n\ndecision := 1\n"), core.ErrInvalid, "a.rego:3"},
		"a test that fails":   {wire.PolicySet{Modules: map[string]string{"a.rego": shippedFirst, "a_test.rego": "package t\n\ntest_no if 1 == 2\n"}}, core.ErrInvalid, "a_test.rego:3"},
		"a test beside rules": {module("a.rego", shippedFirst+"test_no if 1 == 2\n"), core.ErrInvalid, "a.rego:3"},
		"a name with dots":    {module("../a.rego", shippedFirst), core.ErrInvalid, "named as a file"},
		"an absolute name":    {module("/a.rego", shippedFirst), core.ErrInvalid, "named as a file"},
		"another ending":      {module("a.txt", shippedFirst), core.ErrInvalid, "named as a file"},
		"data that is a list": {wire.PolicySet{Data: []byte(`[1]`)}, core.ErrInvalid, "object"},
		"data of the server":  {wire.PolicySet{Data: []byte(`{"dynconfig":{}}`)}, core.ErrInvalid, "dynconfig"},
		"too large":           {module("a.rego", shippedFirst+big), core.ErrTooLarge, "larger"},
		"a long note":         {wire.PolicySet{Note: strings.Repeat("n", 5000)}, core.ErrInvalid, "note"},
	} {
		_, err := a.Put(t.Context(), admin, c.set, wire.PutPolicy{})
		t.Run(name, func(t *testing.T) { refused(t, err, c.kind, c.says) })
	}
	if s := a.state(t); s.Revision != before.Revision || !a.forbids(t, core.ActionDelete) {
		t.Errorf("now it is %+v", s)
	}
}

func TestASetThatWouldLockItsAuthorOrAllAdminsOutIsRefused(t *testing.T) {
	a := deploy().start(t, settings{})
	lead := wire.PolicySet{Modules: map[string]string{"a.rego": `package dynconfig.authz
decision := {"allow": true, "rule": "lead"} if input.subject.username == "lead"
else := data.dynconfig.acl.decision
`}}
	a.put(t, lead, wire.PutPolicy{})
	only := func(condition string) wire.PolicySet {
		return wire.PolicySet{Modules: map[string]string{"a.rego": "package dynconfig.authz\ndecision := {\"allow\": x, \"rule\": \"only\"} if x := " + condition + "\n"}}
	}
	for name, c := range map[string]struct {
		by   string
		set  wire.PolicySet
		says string
	}{
		"nobody":                   {"admin-user", closed, "lock yourself out"},
		"another than the caller":  {"lead", wire.PolicySet{}, "lock yourself out"},
		"the caller alone":         {"lead", only(`input.subject.username == "lead"`), "lock everybody out"},
		"admins with a claim":      {"admin-user", only(`input.subject.claims.mfa`), "lock yourself out"},
		"read without admin":       {"admin-user", only(`input.action == "read"`), "lock yourself out"},
		"put but never roll back":  {"admin-user", only(`input.request.operation in {"get", "put"}`), "lock yourself out"},
		"a policy that fails":      {"admin-user", only(`1 / 0 == 1`), "lock yourself out"},
		"a policy that never ends": {"admin-user", only(`count([1 | some i in numbers.range(1, 100000); some j in numbers.range(1, 100000); i * j < 0]) == 0`), "lock yourself out"},
	} {
		_, err := a.Put(t.Context(), who(c.by), c.set, wire.PutPolicy{})
		t.Run(name, func(t *testing.T) {
			refused(t, err, core.ErrInvalid, c.says)
			refused(t, err, core.ErrInvalid, ".rego:") // where it decides
		})
	}
}

func TestOnlyAdminsOfThePolicyReadOrChangeIt(t *testing.T) {
	a := deploy().start(t, settings{})
	eve := who("eve")
	for name, try := range map[string]func() error{
		"state": func() error { _, err := a.State(t.Context(), eve); return err },
		"put":   func() error { _, err := a.Put(t.Context(), eve, without("delete"), wire.PutPolicy{}); return err },
		"dry run": func() error {
			_, err := a.Put(t.Context(), eve, without("delete"), wire.PutPolicy{DryRun: true})
			return err
		},
		"confirm":  func() error { _, err := a.Confirm(t.Context(), eve, "x:1"); return err },
		"rollback": func() error { _, err := a.Rollback(t.Context(), eve, "x:1", wire.RollbackPolicy{}); return err },
		"history":  func() error { _, err := a.History(t.Context(), eve, 0); return err },
	} {
		if err := try(); !errors.Is(err, core.ErrForbidden) {
			t.Errorf("%s: %v", name, err)
		}
		if got := <-a.audit.list; !strings.HasSuffix(got, "denied") {
			t.Errorf("%s is in the audit log as %q", name, got)
		}
	}
}

func TestADryRunChecksAndChangesNothing(t *testing.T) {
	a := deploy().start(t, settings{})
	head := a.engine.Head()
	set := without("delete")
	set.Modules["a_test.rego"] = "package t\ntest_yes if true\n"
	s := a.put(t, set, wire.PutPolicy{DryRun: true, Confirm: time.Minute})
	if !s.DryRun || s.Tests == nil || s.Tests.Passed != 1 || s.ConfirmBy != nil {
		t.Errorf("it answers %+v", s)
	}
	if a.engine.Head() != head || a.forbids(t, core.ActionDelete) || a.state(t).Source != "shipped" {
		t.Error("it changed something")
	}
	_, err := a.Put(t.Context(), admin, closed, wire.PutPolicy{DryRun: true})
	refused(t, err, core.ErrInvalid, "lock yourself out")
}

func TestWhatADraftReadsIsSaidWithWhatTheChecksCannotHaveSeen(t *testing.T) {
	a := deploy().start(t, settings{})
	s := a.put(t, wire.PolicySet{Modules: map[string]string{"a.rego": `package dynconfig.authz
decision := data.dynconfig.acl.decision if not odd
odd if input.request.operation == "x"
odd if input.request.address == "x"
odd if input.request.time == "x"
odd if input.subject.claims.team == "x"
`}}, wire.PutPolicy{DryRun: true})
	if want := []string{"address", "claims.team", "operation", "time"}; !slices.Equal(s.Reads, want) || len(s.Warnings) != 4 {
		t.Errorf("it reads %q, want %q, and warns %q", s.Reads, want, s.Warnings)
	}
}

func TestAConditionOnTheRevisionHoldsOrNothingHappens(t *testing.T) {
	a := deploy().start(t, settings{})
	at := func(revisions ...string) wire.PolicyCondition { return wire.PolicyCondition{IfMatch: revisions} }
	not := func(revisions ...string) wire.PolicyCondition { return wire.PolicyCondition{IfNoneMatch: revisions} }
	first := a.put(t, without("delete"), wire.PutPolicy{PolicyCondition: at(a.state(t).Revision)})
	second := a.put(t, without("create"), wire.PutPolicy{PolicyCondition: at("x:1", first.Revision)})
	for _, c := range []struct {
		condition wire.PolicyCondition
		says      string
	}{{at(first.Revision), "another revision"}, {not("x:1", second.Revision), "that revision"}, {not("*"), "that revision"}} {
		_, err := a.Put(t.Context(), admin, wire.PolicySet{}, wire.PutPolicy{PolicyCondition: c.condition})
		refused(t, err, core.ErrPrecondition, c.says)
		_, err = a.Rollback(t.Context(), admin, first.Revision, wire.RollbackPolicy{PolicyCondition: c.condition})
		refused(t, err, core.ErrPrecondition, c.says)
	}
	if s := a.state(t); s.Revision != second.Revision {
		t.Errorf("it is %+v", s)
	}
	if _, err := a.Rollback(t.Context(), admin, first.Revision, wire.RollbackPolicy{PolicyCondition: at(second.Revision)}); err != nil {
		t.Errorf("rollback of what is in force: %v", err)
	}
}

func TestAStoredSetComesBackIfItPassesTodaysChecks(t *testing.T) {
	d := deploy()
	a := d.start(t, settings{admins: []string{"admin-user", "ann"}})
	first := a.put(t, without("delete"), wire.PutPolicy{})
	annOnly := wire.PolicySet{Modules: map[string]string{"a.rego": `package dynconfig.authz
decision := {"allow": true, "rule": "ann"} if input.subject.username == "ann"
else := {"allow": true, "rule": "root"} if input.subject.username == "admin-user"
`}}
	second := a.put(t, annOnly, wire.PutPolicy{})
	third, err := a.Rollback(t.Context(), admin, first.Revision, wire.RollbackPolicy{Note: "as it was"})
	if err != nil || third.Revision == first.Revision || third.Note != "as it was" || !a.forbids(t, core.ActionDelete) {
		t.Errorf("rolled back to %+v, %v", third, err)
	}
	h, err := a.History(t.Context(), admin, 2)
	if err != nil || len(h.Versions) != 2 || h.Versions[0].Event != "rollback" || h.Versions[0].Revision != third.Revision || h.Versions[1].Revision != second.Revision {
		t.Errorf("history is %+v, %v", h, err)
	}
	for revision, kind := range map[string]error{"nonsense": core.ErrMalformed, "otherepoch:3": core.ErrCompacted, strings.Split(first.Revision, ":")[0] + ":1": core.ErrNotFound} {
		if _, err := a.Rollback(t.Context(), admin, revision, wire.RollbackPolicy{}); !errors.Is(err, kind) {
			t.Errorf("back to %s: %v, want %v", revision, err, kind)
		}
	}
	b := d.start(t, settings{admins: []string{"admin-user", "joe"}})
	_, err = b.Rollback(t.Context(), who("joe"), second.Revision, wire.RollbackPolicy{})
	refused(t, err, core.ErrInvalid, "lock yourself out")
}
