package policy

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dynconfig/dynconfig/core"
)

func lint(t *testing.T, set Set) []core.FieldError {
	t.Helper()
	found, err := Lint(t.Context(), set, testOptions().CompileOptions, nil)
	if err != nil {
		t.Fatal(err)
	}
	return found.Faults
}

func TestLintFindsWhatTheInputDoesNotHave(t *testing.T) {
	for _, ref := range []string{
		"input.user", "input.subject.name", "input.resource.acl", "input.resource.acls.reed", "input.resource.acls.read.entries",
		"input.resource.namespace_acls[_].acl", "input.request.adress", `input.action == 1`,
	} {
		found := lint(t, module("decision := {\"allow\": false} if {\n\t"+ref+"\n} else := data.dynconfig.acl.decision"))
		if len(found) != 1 || found[0].Path != "authz.rego:4" {
			t.Errorf("%s: got %v, want a fault in line 4", ref, found)
		}
	}
	found := lint(t, module("decision := {\"allow\": false} if {\n\tinput.request.adress\n} else := data.dynconfig.acl.decision"))
	if len(found) != 1 || !strings.Contains(found[0].Reason, `"address"`) {
		t.Errorf("got %v, want it to say what there is", found)
	}
}

func TestLintKnowsAllThatTheInputHas(t *testing.T) {
	for _, ref := range []string{
		"input.subject.username", "input.subject.claims.any.thing[0].at_all", "input.action", "input.environment", "input.resource.kind",
		"input.resource.key", "input.resource.namespaces[0]", "input.resource.exists", "is_null(input.resource.acls)", "input.resource.acls.read.any",
		"input.resource.acls.write.names.ann", "input.resource.acls.admin.prefixes[_]", "input.resource.namespace_acls[_].namespace",
		"input.resource.namespace_acls[0].acls.read.names[input.subject.username]", "input.request.operation", "input.request.changes[_]",
		"input.request.time", "input.request.address",
	} {
		if found := lint(t, module("decision := {\"allow\": false} if {\n\t"+ref+"\n} else := data.dynconfig.acl.decision")); len(found) > 0 {
			t.Errorf("%s: got %v, want no fault", ref, found)
		}
	}
	if found := lint(t, Set{}); len(found) > 0 {
		t.Errorf("the shipped rules: got %v", found)
	}
}

func TestLintFindsAnswersThatAServerDoesNotUnderstand(t *testing.T) {
	for body, says := range map[string]string{
		`decision := {"alow": true}`:               "without allow",
		`decision := {"allow": true, "resn": "x"}`: "member resn",
		`decision := true`:                         "no object",
		"decision := {\"allow\": true} if input.action == \"read\" else := [false]": "no object",
	} {
		found := lint(t, module(body))
		if !slices.ContainsFunc(found, func(f core.FieldError) bool { return f.Path == "authz.rego:3" && strings.Contains(f.Reason, says) }) {
			t.Errorf("%s: got %v, want %q", body, found, says)
		}
	}
}

func TestLintFindsFaultsInTestsAndRefusesWhatDoesNotCompile(t *testing.T) {
	for tests, says := range map[string]string{"test_a if nothing(1)": "authz_test.rego:3", "test_a if {": "authz_test.rego"} {
		set := module("decision := data.dynconfig.acl.decision")
		set.Modules["authz_test.rego"] = "package authz_test\n\n" + tests + "\n"
		if _, err := Lint(t.Context(), set, testOptions().CompileOptions, nil); !errors.Is(err, core.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v", tests, err)
		}
	}
}

func TestLintTakesSchemasOfTheSetsOwn(t *testing.T) {
	set := module("# METADATA\n# schemas:\n#   - data.settings: schema.settings\ndecision := {\"allow\": true} if data.settings.opn == true")
	extra := fstest.MapFS{"settings.json": {Data: []byte(`{"type":"object","properties":{"open":{"type":"boolean"}}}`)}}
	found, err := Lint(t.Context(), set, testOptions().CompileOptions, extra)
	if err != nil || len(found.Faults) != 1 || !strings.Contains(found.Faults[0].Reason, `"open"`) {
		t.Errorf("got %v, %v, want the misspelled setting", found, err)
	}
	extra["settings.json"].Data = []byte(`{`)
	if _, err := Lint(t.Context(), set, testOptions().CompileOptions, extra); !errors.Is(err, core.ErrInvalid) {
		t.Errorf("a schema that is none: got %v", err)
	}
}
