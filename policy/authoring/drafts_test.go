package authoring_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy/authoring"
	"github.com/dynconfig/dynconfig/wire"
)

// past is what was decided.
type past struct {
	list   []wire.Decision
	broken error
}

func (p past) Query(context.Context, wire.DecisionFilter) (wire.Decisions, error) {
	return wire.Decisions{Decisions: p.list}, p.broken
}

func (p past) Each(_ context.Context, since, until time.Time, do func(wire.Decision) error) error {
	for _, d := range p.list {
		if d.Time.Before(since) || !until.IsZero() && !d.Time.Before(until) {
			continue
		}
		if err := do(d); err != nil {
			return err
		}
	}
	return p.broken
}

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// allowed is an access of a server admin, so long after noon.
func allowed(action string, after time.Duration, count int64) wire.Decision {
	return wire.Decision{
		Time: noon.Add(after), Count: count, Principal: "admin-user", Action: action, Kind: "key", Key: "k", Environment: "default", Allow: true, Rule: "server-admin",
		Input: json.RawMessage(`{"subject":{"username":"admin-user","claims":{}},"action":"` + action + `","environment":"default",
			"resource":{"kind":"key","key":"k","namespaces":[],"exists":true,"acls":null,"namespace_acls":[]}}`),
	}
}

func TestReplaySaysWhatADraftWouldAnswerDifferently(t *testing.T) {
	n := deploy().start(t, settings{Options: authoring.Options{Decisions: past{list: []wire.Decision{
		allowed("write", -time.Second, 1), allowed("write", 0, 3), allowed("read", time.Second, 1), allowed("write", time.Hour, 1),
	}}}})
	r, err := n.Replay(t.Context(), admin, wire.ReplayRequest{PolicySet: without("write"), Since: noon, Until: noon.Add(time.Hour)})
	want := wire.ReplayChange{
		Principal: "admin-user", Action: "write", Kind: "key", Key: "k", Environment: "default", Allowed: true, Rule: "server-admin", NewRule: "frozen", Count: 3,
	}
	if err != nil || r.Decisions != 4 || r.Changed != 3 || len(r.Changes) != 1 || r.Changes[0] != want {
		t.Errorf("got %+v, %v, want %+v", r, err, want)
	}
	if r, err := n.Replay(t.Context(), admin, wire.ReplayRequest{Since: noon}); err != nil || r.Decisions != 5 || r.Changed != 0 {
		t.Errorf("the shipped rules, without an end: got %+v, %v", r, err)
	}
	if d := n.state(t); d.Source != "shipped" {
		t.Errorf("a replay put %+v in force", d)
	}
}

func TestReplayOfAStoredRevision(t *testing.T) {
	n := deploy().start(t, settings{Options: authoring.Options{Decisions: past{list: []wire.Decision{allowed("write", 0, 1)}}}})
	stored := n.put(t, without("write"), wire.PutPolicy{})
	n.put(t, without("delete"), wire.PutPolicy{})
	r, err := n.Replay(t.Context(), admin, wire.ReplayRequest{Revision: stored.Revision, Since: noon})
	if err != nil || r.Changed != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
	_, err = n.Replay(t.Context(), admin, wire.ReplayRequest{Revision: n.engine.Epoch() + ":999", Since: noon})
	refused(t, err, core.ErrNotFound, "")
	_, err = n.Replay(t.Context(), admin, wire.ReplayRequest{Revision: "x", Since: noon})
	refused(t, err, core.ErrMalformed, "")
}

func TestReplayThatMakesNoSenseIsRefused(t *testing.T) {
	n := deploy().start(t, settings{Options: authoring.Options{Decisions: past{}}})
	both := wire.ReplayRequest{PolicySet: without("write"), Revision: "x", Since: noon}
	for says, r := range map[string]wire.ReplayRequest{
		"since when":            {PolicySet: without("write")},
		"ends before it begins": {PolicySet: without("write"), Since: noon, Until: noon},
		"not of both":           both,
		"does not compile":      {PolicySet: wire.PolicySet{Modules: map[string]string{"a.rego": "package"}}, Since: noon},
	} {
		_, err := n.Replay(t.Context(), admin, r)
		refused(t, err, core.ErrInvalid, says)
	}
	none := deploy().start(t, settings{})
	_, err := none.Replay(t.Context(), admin, wire.ReplayRequest{Since: noon})
	refused(t, err, core.ErrConflict, "records no decisions")
}

func TestReplayFailsIfTheRecordsCannotBeRead(t *testing.T) {
	broken := errors.New("the disk")
	n := deploy().start(t, settings{Options: authoring.Options{Decisions: past{list: []wire.Decision{allowed("write", 0, 1)}, broken: broken}}})
	if _, err := n.Replay(t.Context(), admin, wire.ReplayRequest{Since: noon}); !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of the records", err)
	}
}

func TestDraftsAreTestedForThoseWhoMayReadThePolicyAndReplayedForItsAdmins(t *testing.T) {
	n := deploy().start(t, settings{Options: authoring.Options{Decisions: past{}}})
	n.put(t, wire.PolicySet{Modules: map[string]string{"authz.rego": `package dynconfig.authz
decision := {"allow": true, "rule": "reader"} if {
	input.subject.username == "reader"
	input.resource.kind == "policy"
	input.action == "read"
	input.request.operation == "test"
} else := data.dynconfig.acl.decision
`}}, wire.PutPolicy{})
	draft := without("write")
	draft.Modules["authz_test.rego"] = "package authz_test\ntest_a := true\ntest_b := false\n"
	for _, name := range []string{"admin-user", "reader"} {
		if r, err := n.Test(t.Context(), who(name), draft); err != nil || r.Passed != 1 || len(r.Failed) != 1 || r.Failed[0].Location != "authz_test.rego:3" {
			t.Errorf("%s: got %+v, %v", name, r, err)
		}
	}
	_, err := n.Test(t.Context(), who("ann"), draft)
	refused(t, err, core.ErrForbidden, "")
	for _, name := range []string{"reader", "ann"} {
		_, err := n.Replay(t.Context(), who(name), wire.ReplayRequest{Since: noon})
		refused(t, err, core.ErrForbidden, "")
	}
}
