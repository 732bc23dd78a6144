package policy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

const testedRules = `package dynconfig.authz

decision := {"allow": true, "rule": "open"} if {
	input.action == "read"
	data.open
} else := {"allow": false, "rule": "odd"} if {
	odd(input.resource.key)
} else := data.dynconfig.acl.decision

odd(key) if {
	startswith(key, "odd.")
	count(key) > 4
}
`

// tested runs tests, a file that imports authz, over testedRules.
func tested(t *testing.T, tests string) Tested {
	t.Helper()
	r, err := Test(t.Context(), testedSet(tests), testOptions())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func testedSet(tests string) Set {
	head := "package dynconfig.authz_test\n\n\n\n"
	if strings.Contains(tests, "authz.") {
		head = "package dynconfig.authz_test\n\nimport data.dynconfig.authz\n\n"
	}
	return Set{Modules: map[string]string{"authz.rego": testedRules, "rules/authz_test.rego": head + tests}, Data: map[string]any{"open": true}}
}

func testOptions() TestOptions {
	return TestOptions{CompileOptions: CompileOptions{Admins: []string{"admin-user"}}, Timeout: time.Minute}
}

func TestTestsOfASetRunBesideTheShippedRulesItsDataAndAdmins(t *testing.T) {
	r := tested(t, `test_open if authz.decision.rule == "open" with input.action as "read"

test_shipped if {
	d := authz.decision with input as {"subject": {"username": "admin-user"}, "action": "write", "resource": {"kind": "key", "key": "k"}} with data.open as false
	d.rule == "server-admin"
}
`)
	if r.Passed != 2 || len(r.Failed) != 0 || len(r.Tests) != 2 {
		t.Fatalf("got %+v", r)
	}
	if r.Tests[0].Test != "dynconfig.authz_test.test_open" || r.Tests[0].Location != "rules/authz_test.rego:5" || r.Tests[0].Outcome != testPassed {
		t.Errorf("got %+v", r.Tests[0])
	}
}

func TestFailureSaysWhereAndWhatDidNotHold(t *testing.T) {
	r := tested(t, `want := "closed"

test_wrong if {
	print("the user is", "ann")
	got := authz.decision.rule with input.action as "read"
	got == want
}

test_right if authz.decision.allow with input.action as "read"
`)
	if r.Passed != 1 || len(r.Failed) != 1 {
		t.Fatalf("got %+v", r)
	}
	f := r.Failed[0]
	if f.Test != "dynconfig.authz_test.test_wrong" || f.Location != "rules/authz_test.rego:10" {
		t.Errorf("got %+v, want the line that did not hold", f)
	}
	for _, part := range []string{"got == want", `"open"`, `"closed"`, "the user is ann"} {
		if !strings.Contains(f.Message, part) {
			t.Errorf("message does not say %s:\n%s", part, f.Message)
		}
	}
}

func TestEachFailedCaseOfATableIsNamed(t *testing.T) {
	r := tested(t, `test_table[name] if {
	some name, key in {"plain": "app.k", "strange": "odd.key", "short": "odd."}
	not authz.odd(key)
}
`)
	if r.Passed != 2 || len(r.Failed) != 1 || r.Failed[0].Test != "dynconfig.authz_test.test_table/strange" {
		t.Errorf("got %+v", r.PolicyTests)
	}
}

func TestTodoTestsDoNotFail(t *testing.T) {
	r := tested(t, "todo_test_later if false\n")
	if r.Passed != 0 || len(r.Failed) != 0 || len(r.Tests) != 1 || r.Tests[0].Outcome != testSkipped {
		t.Errorf("got %+v", r)
	}
}

func TestErrorOfABuiltinFailsATest(t *testing.T) {
	r := tested(t, "test_number if to_number(\"x\") == 1\n")
	if len(r.Failed) != 1 || r.Failed[0].Location != "rules/authz_test.rego:5" || !strings.Contains(r.Failed[0].Message, "to_number") {
		t.Errorf("got %+v", r.Failed)
	}
}

func TestTestThatLoopsFailsAloneAndInTime(t *testing.T) {
	o := testOptions()
	for o.Timeout = 100 * time.Millisecond; ; o.Timeout *= 4 {
		r, err := Test(t.Context(), testedSet(`test_loop if count([1 | numbers.range(1, 100000000)[_] == input.none]) == 7

test_quick if authz.decision.allow with input.action as "read"
`), o)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(r.Failed, func(f wire.PolicyTestFailure) bool { return f.Test == "dynconfig.authz_test.test_loop" })
		if i < 0 || r.Failed[i].Message != "it took too long and was ended" {
			t.Fatalf("got %+v", r.PolicyTests)
		}
		if r.Passed == 1 && len(r.Failed) == 1 {
			return
		}
		if o.Timeout > time.Minute { // before, a machine that has other things to do may make the quick one late, too
			t.Fatalf("in %v: got %+v", o.Timeout, r.PolicyTests)
		}
	}
}

func TestTestsThatNobodyWaitsForEnd(t *testing.T) {
	for _, wait := range []time.Duration{0, 50 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		_, err := Test(ctx, testedSet("test_loop if count([1 | numbers.range(1, 100000000)[_] == input.none]) == 7\n"), testOptions())
		if cancel(); !errors.Is(err, core.ErrUnavailable) {
			t.Errorf("after %v: got %v, want unavailable", wait, err)
		}
	}
}

func TestFilterSelectsTests(t *testing.T) {
	o := testOptions()
	o.Filter = "test_a$"
	r, err := Test(t.Context(), testedSet("test_a := true\n\ntest_b := false\n"), o)
	if err != nil || r.Passed != 1 || len(r.Tests) != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
	o.Filter = "("
	if _, err := Test(t.Context(), testedSet("test_a := true\n"), o); !errors.Is(err, core.ErrInvalid) {
		t.Errorf("a filter that is none: got %v", err)
	}
}

func TestCoverageCountsTheLinesOfRulesAlone(t *testing.T) {
	r := tested(t, "test_open if authz.decision.allow with input.action as \"read\"\n")
	if len(r.Files) != 1 || r.Files[0].File != "authz.rego" || r.Coverage != r.Files[0].Coverage {
		t.Fatalf("got %+v", r.Files)
	}
	if r.Coverage <= 0 || r.Coverage >= 100 {
		t.Errorf("got %v percent, want some", r.Coverage)
	}
	for _, line := range []int{7, 11, 12} {
		if !slices.ContainsFunc(r.Files[0].NotRun, func(x [2]int) bool { return x[0] <= line && line <= x[1] }) {
			t.Errorf("line %d is not among those not run, %v", line, r.Files[0].NotRun)
		}
	}
	all := tested(t, `test_open if authz.decision.allow with input.action as "read"

test_odd if authz.decision.rule == "odd" with input.resource.key as "odd.key"

test_rest if authz.decision with input.resource.key as "key"
`)
	if all.Coverage != 100 || all.Files[0].NotRun != nil {
		t.Errorf("got %+v, want 100 percent", all.Files)
	}
}

func TestCoverageOfAFileThatIsNamedAsAShippedOne(t *testing.T) {
	set := Set{Modules: map[string]string{
		"acl.rego":    strings.Repeat("\n", 20) + testedRules,
		"a_test.rego": "package a_test\n\ntest_shipped if data.dynconfig.acl.decision with input.action as \"read\"\n",
	}}
	r, err := Test(t.Context(), set, testOptions())
	if err != nil || r.Coverage != 0 {
		t.Errorf("got %v percent, %v, want none of the set's own lines", r.Coverage, err)
	}
}

func TestSetThatIsNotValidIsNotTested(t *testing.T) {
	for name, c := range map[string]struct {
		tests, says string
	}{
		"syntax":               {"test_a if {", "rules/authz_test.rego"},
		"forbidden builtin":    {"test_a if http.send({})", "undefined function"},
		"strict":               {"test_a if {\n\tx := 1\n}", "rules/authz_test.rego:6"},
		"the server's own":     {"", "server's own"},
		"nothing that decides": {"", "does not define"},
	} {
		set := testedSet(c.tests)
		switch name {
		case "the server's own":
			set.Modules["x_test.rego"] = "package dynconfig.acl\n\ndecision := {\"allow\": true}\n"
		case "nothing that decides":
			set.Modules["authz.rego"] = "package other\n"
		}
		if _, err := Test(t.Context(), set, testOptions()); !errors.Is(err, core.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want it refused with %q", name, err, c.says)
		}
	}
}
