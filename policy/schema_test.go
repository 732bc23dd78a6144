package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy/schemas"
	"github.com/dynconfig/dynconfig/wire"
)

// fits demands that a document is as a published schema says.
func fits(t *testing.T, schema, document string) {
	t.Helper()
	if faults := misfits(t, schema, document); len(faults) > 0 {
		t.Errorf("%s does not fit %s: %v", document, schema, faults)
	}
}

// misfits asks OPA, whose users the schemas are for.
func misfits(t *testing.T, schema, document string) []any {
	t.Helper()
	text, err := schemas.Files.ReadFile(schema)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rego.New(rego.Query(`[valid, faults] := json.match_schema(input.document, input.schema)`),
		rego.Input(map[string]any{"document": document, "schema": string(text)}), rego.StrictBuiltinErrors(true)).Eval(t.Context())
	if err != nil || len(r) != 1 {
		t.Fatal(r, err)
	}
	if r[0].Bindings["valid"] == true {
		return nil
	}
	return r[0].Bindings["faults"].([]any)
}

// everyAccess is questions of every kind and action, with and without lists.
func everyAccess() []core.Access {
	var all []core.Access
	lists := core.Intern(&core.ACL{Read: []string{"ann", "service:*", "*"}, Write: []string{}})
	for _, kind := range []core.Kind{core.KindKey, core.KindDocument, core.KindNamespace, core.KindEnvironment, core.KindPolicy, core.KindAudit} {
		for _, action := range []core.Action{
			core.ActionRead, core.ActionList, core.ActionWatch, core.ActionCreate, core.ActionWrite, core.ActionDelete, core.ActionAdmin,
		} {
			bare := core.Access{Action: action, Kind: kind, Environment: "default", Key: "app.ui.theme", Operation: "get", Time: time.Unix(1_700_000_000, 123)}
			full := bare
			full.ACL, full.Chain, full.Exists, full.Address = lists, around("*", "admin: root", "app", "read: *"), true, "192.0.2.7"
			full.Changes = core.ChangesValue | core.ChangesTTL | core.ChangesACLs | core.ChangesSchema
			all = append(all, bare, full)
		}
	}
	return all
}

func subjects() []*core.Subject {
	return []*core.Subject{
		{Username: "ann"},
		{Username: "admin-user", Claims: map[string]any{"big": json.Number("9007199254740993"), "team": []any{"a", nil, true}}},
	}
}

func TestWhatAPolicyIsAskedIsAsTheSchemaSays(t *testing.T) {
	a := open(t, module(`decision := {"allow": true, "reason": json.marshal(input)}`))
	for _, who := range subjects() {
		for _, access := range everyAccess() {
			d, err := a.Authorize(t.Context(), who, access)
			if err != nil || !d.Allow {
				t.Fatalf("got %+v, %v", d, err)
			}
			fits(t, "input.json", d.Reason)
		}
	}
}

func TestWhatIsExplainedAndRecordedIsAsTheSchemaSays(t *testing.T) {
	r := record(t, module(`decision := {"allow": count(input.subject.claims) > 99}`), RecordOptions{Allows: 1})
	for _, who := range subjects() {
		for i, access := range everyAccess() {
			e, err := r.Explain(t.Context(), who, access, true)
			if err != nil {
				t.Fatal(err)
			}
			fits(t, "input.json", string(e.Input))
			r.ask(t, who, access, fmt.Sprint(i))
		}
	}
	records := r.find(t, wire.DecisionFilter{Limit: MaxDecisions})
	if len(records) == 0 {
		t.Fatal("nothing is recorded")
	}
	for _, d := range records {
		fits(t, "input.json", string(d.Input))
	}
}

func TestDecisionsOfTheShippedRulesAreAsTheSchemaSays(t *testing.T) {
	a := open(t, module("d := data.dynconfig.acl.decision\n\ndecision := {\"allow\": true, \"reason\": json.marshal(d)}"))
	for _, who := range subjects() {
		for _, access := range everyAccess() {
			d, err := a.Authorize(t.Context(), who, access)
			if err != nil || !strings.Contains(d.Reason, `"rule"`) {
				t.Fatalf("got %+v, %v", d, err)
			}
			fits(t, "decision.json", d.Reason)
		}
	}
}

// What the schema of decisions takes an Authorizer takes, and nothing else.
func TestSchemaOfDecisionsAgreesWithWhatIsUnderstood(t *testing.T) {
	for answer, understood := range map[string]bool{
		`{"allow": true}`: true,
		`{"allow": false, "rule": "x", "reason": "y", "grant": {"source": "key", "name": "k", "list": "read", "entry": "ann"}, "more": 1}`: true,
		`{"allow": true, "grant": {}}`:             true,
		`{"allow": true, "grant": {"further": 1}}`: true,
		`{"rule": "x"}`:                            false,
		`{"allow": "true"}`:                        false,
		`{"allow": null}`:                          false,
		`{"allow": true, "rule": 1}`:               false,
		`{"allow": true, "rule": null}`:            false,
		`{"allow": true, "reason": []}`:            false,
		`{"allow": true, "grant": "x"}`:            false,
		`{"allow": true, "grant": null}`:           false,
		`{"allow": true, "grant": {"entry": 1}}`:   false,
		`[]`:                                       false,
	} {
		if got := len(misfits(t, "decision.json", answer)) == 0; got != understood {
			t.Errorf("%s: the schema takes it: %v, want %v", answer, got, understood)
		}
		d := decide(t, open(t, module("decision := "+answer)), "ann", ask(core.ActionRead, nil, nil))
		if got := d.Rule != RuleError; got != understood {
			t.Errorf("%s: it is understood: %v, want %v", answer, got, understood)
		}
	}
}

func TestSchemaOfTheInputTakesNothingElse(t *testing.T) {
	good := `{"subject":{"username":"ann","claims":{}},"action":"read","environment":"default","resource":{"kind":"key","key":"k","namespaces":[],"exists":true,
		"acls":{"read":{"any":false,"names":{"ann":true},"prefixes":[]}},"namespace_acls":[]},"request":{"operation":"get","changes":[],"time":"2026-01-02T03:04:05Z","address":""}}`
	fits(t, "input.json", good)
	for _, change := range [][2]string{
		{`"action":"read"`, `"action":"steal"`},
		{`"kind":"key"`, `"kind":"box"`},
		{`"exists":true`, `"exists":true,"value":1`},
		{`"names":{"ann":true}`, `"names":{"ann":false}`},
		{`"changes":[]`, `"changes":["other"]`},
		{`"claims":{}`, `"claims":{},"token":"x"`},
		{`,"address":""`, ``},
	} {
		if bad := strings.Replace(good, change[0], change[1], 1); bad == good || len(misfits(t, "input.json", bad)) == 0 {
			t.Errorf("%s is taken", change[1])
		}
	}
}
