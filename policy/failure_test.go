package policy

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/dynconfig/dynconfig/core"
)

func TestPolicyThatFailsToDecideDenies(t *testing.T) {
	for name, body := range map[string]string{
		"undefined":                     `decision := {"allow": true} if input.action == "never"`,
		"several results":               "decision := {\"allow\": true} if input.action\n\ndecision := {\"allow\": false} if input.action",
		"a set of decisions":            `decision contains {"allow": true}`,
		"a bare boolean":                `decision := true`,
		"a string that says true":       `decision := {"allow": "true"}`,
		"a number":                      `decision := {"allow": 1}`,
		"null":                          `decision := {"allow": null}`,
		"no allow":                      `decision := {"rule": "x"}`,
		"a rule that is no text":        `decision := {"allow": true, "rule": 1}`,
		"a reason that is no text":      `decision := {"allow": true, "reason": []}`,
		"a grant that is no object":     `decision := {"allow": true, "grant": "x"}`,
		"a grant with a wrong member":   `decision := {"allow": true, "grant": {"entry": 1}}`,
		"a builtin's error":             `decision := {"allow": to_number(input.action) == 1}`,
		"a builtin's error in a branch": "decision := {\"allow\": true} if not bad\n\nbad if to_number(input.action) == 1",
		"division by zero":              `decision := {"allow": 1 / count(input.resource.namespace_acls) == 1}`,
		"functions that disagree":       "decision := {\"allow\": f(input.action)}\n\nf(x) := true if x\n\nf(x) := false if x",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // where nothing is late
				a := open(t, module(body))
				for range 2 { // a failure is not kept
					d := decide(t, a, "admin-user", ask(core.ActionRead, nil, nil))
					if d.Allow || d.Rule != RuleError || d.Reason == "" {
						t.Errorf("got %+v, want a denial by %s", d, RuleError)
					}
				}
				if s := a.Stats(); s.Errors != 2 || s.Evaluations != 2 || s.Hits != 0 {
					t.Errorf("got %+v, want two failed runs and nothing from the cache", s)
				}
			})
		})
	}
}

func TestPolicyThatLoopsIsCutShort(t *testing.T) {
	a := open(t, module(`decision := {"allow": count([1 | some x in numbers.range(1, 1000000); some y in numbers.range(1, 1000000); x == y + 1000000]) == 0}`))
	d, err := a.Authorize(t.Context(), &core.Subject{Username: "ann"}, ask(core.ActionRead, nil, nil))
	if err != nil || d.Allow || d.Rule != RuleError || !d.Late {
		t.Errorf("got %+v, %v, want a late denial by %s", d, err, RuleError)
	}
}

func TestClaimsThatAreNotJSONAreDenied(t *testing.T) {
	a := open(t, module(`decision := {"allow": true} if count(input.subject.claims) > 0`))
	who := &core.Subject{Username: "ann", Claims: map[string]any{"c": make(chan int)}}
	if d, err := a.Authorize(t.Context(), who, ask(core.ActionRead, nil, nil)); err != nil || d.Allow || d.Rule != RuleError {
		t.Errorf("got %+v, %v, want a denial by %s", d, err, RuleError)
	}
}

func TestCallerThatLeavesGetsAnErrorAndNoDecision(t *testing.T) {
	a := open(t, Set{})
	ctx, leave := context.WithCancel(t.Context())
	leave()
	d, err := a.Authorize(ctx, &core.Subject{Username: "admin-user"}, ask(core.ActionRead, nil, nil))
	if d.Allow || d.Rule != "" || !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("got %+v, %v, want the zero decision and unavailable", d, err)
	}
	if d := decide(t, a, "admin-user", ask(core.ActionRead, nil, nil)); !d.Allow {
		t.Errorf("afterwards got %+v, want allowed: nothing of it is kept", d)
	}
}

func TestFailureIsLoggedWithItsPlaceAndWithoutClaims(t *testing.T) {
	var log bytes.Buffer
	a, err := New(t.Context(), Options{
		Admins: []string{"admin-user"}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Set: module(`decision := {"allow": to_number(input.subject.claims.team) == 1}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	who := &core.Subject{Username: "ann", Claims: map[string]any{"team": "hush"}}
	for range 100 {
		if _, err := a.Authorize(t.Context(), who, ask(core.ActionRead, nil, nil)); err != nil {
			t.Fatal(err)
		}
	}
	text := log.String()
	if !strings.Contains(text, "authz.rego:3") || strings.Contains(text, "hush") {
		t.Errorf("got log %s", text)
	}
	if lines := strings.Count(text, "\n"); lines > 50 {
		t.Errorf("%d lines for 100 failures, want about one a second", lines)
	}
}
