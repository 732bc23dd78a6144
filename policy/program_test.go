package policy

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

func program(t *testing.T, set Set) *Program {
	t.Helper()
	p, err := Compile(t.Context(), set, CompileOptions{Admins: []string{"admin-user"}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func decideJSON(t *testing.T, p *Program, input string, at time.Time) core.Decision {
	t.Helper()
	d, err := p.Decide(t.Context(), []byte(input), at)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestProgramAnswersAnInputWrittenDown(t *testing.T) {
	p := program(t, Set{})
	ask := func(who string) string {
		return `{"subject":{"username":"` + who + `","claims":{}},"action":"read","environment":"default","resource":{"kind":"key","key":"app.k","exists":true,
			"acls":{"read":{"any":false,"names":{"ann":true},"prefixes":[]}},"namespace_acls":[]}}`
	}
	for who, rule := range map[string]string{"ann": "key-read", "bob": "no-read", "admin-user": "server-admin", "": "malformed"} {
		if d := decideJSON(t, p, ask(who), time.Time{}); d.Rule != rule {
			t.Errorf("%q: got rule %q, want %q", who, d.Rule, rule)
		}
	}
	if d := decideJSON(t, p, `{}`, time.Time{}); d.Allow || d.Rule != "malformed" {
		t.Errorf("an empty input: got %+v", d)
	}
}

// Inputs by hand are not always whole: the shipped rules go by what there is.
func TestProgramTakesInputsThatAServerWouldNotWrite(t *testing.T) {
	p := program(t, Set{})
	for acls, rule := range map[string]string{
		`{"read":{"names":{"ann":true}}}`:  "key-read",
		`{"read":{"names":{"bob":true}}}`:  "no-read",
		`{"read":{"names":{"ann":false}}}`: "no-read",
		`{"read":{}}`:                      "no-read",
		`{"read":["ann"]}`:                 "no-read",
		`{"admin":{"any":true}}`:           "key-admin",
		`null`:                             "no-read",
	} {
		for _, around := range []string{``, `,"namespace_acls":[]`, `,"namespace_acls":null`} {
			input := `{"subject":{"username":"ann"},"action":"read","resource":{"kind":"key","acls":` + acls + around + `}}`
			if d := decideJSON(t, p, input, time.Time{}); d.Rule != rule {
				t.Errorf("%s: got %+v, want rule %q", input, d, rule)
			}
		}
	}
}

func TestProgramKeepsEveryDigitOfNumbers(t *testing.T) {
	p := program(t, module(`decision := {"allow": input.subject.claims.id == 9007199254740993}`))
	if d := decideJSON(t, p, `{"subject":{"claims":{"id":9007199254740993}}}`, time.Time{}); !d.Allow {
		t.Errorf("the number itself: got %+v", d)
	}
	if d := decideJSON(t, p, `{"subject":{"claims":{"id":9007199254740992}}}`, time.Time{}); d.Allow {
		t.Errorf("the number beside it: got %+v", d)
	}
}

func TestProgramSeesOneTime(t *testing.T) {
	p := program(t, module(`decision := {"allow": true, "rule": input.request.time} if time.parse_rfc3339_ns(input.request.time) == time.now_ns()`))
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.FixedZone("", 3600))
	if d := decideJSON(t, p, `{}`, at); d.Rule != "2026-01-02T02:04:05.000006Z" {
		t.Errorf("the time given: got %+v", d)
	}
	if d := decideJSON(t, p, `{"request":{"time":"2020-01-01T00:00:00+01:00"}}`, time.Time{}); d.Rule != "2019-12-31T23:00:00Z" {
		t.Errorf("the input's: got %+v", d)
	}
	if d := decideJSON(t, p, `{"request":{"time":"2020-01-01T00:00:00Z"}}`, at); d.Rule != "2026-01-02T02:04:05.000006Z" {
		t.Errorf("the time given before the input's: got %+v", d)
	}
	if d := decideJSON(t, p, `{"request":{"time":7}}`, time.Time{}); !d.Allow {
		t.Errorf("none: got %+v, want the present", d)
	}
}

func TestProgramThatFailsDeniesAndSaysHow(t *testing.T) {
	for body, says := range map[string]string{
		`decision := {"allow": true} if input.action == "never"`:                                  "has 0 results",
		"decision := {\"allow\": true} if input.action\n\ndecision := {\"allow\": false}":         "conflict",
		`decision := {"allow": "true"}`:                                                           "allow is not true or false",
		`decision := {"allow": to_number(input.action) == 1}`:                                     "authz.rego:3",
		`decision := {"allow": count([1 | numbers.range(1, 10000000)[_] == input.none]) == 7000}`: "longer than 250 ms",
	} {
		d := decideJSON(t, program(t, module(body)), `{"action":"read"}`, time.Time{})
		if d.Allow || d.Rule != RuleError || !strings.Contains(d.Reason, says) {
			t.Errorf("%s: got %+v, want a denial that says %q", body, d, says)
		}
	}
}

func TestProgramRefusesWhatIsNoInput(t *testing.T) {
	p := program(t, Set{})
	for _, input := range []string{``, `null`, `[]`, `"x"`, `{`, `{} {}`} {
		if d, err := p.Decide(t.Context(), []byte(input), time.Time{}); !errors.Is(err, core.ErrMalformed) || d.Allow {
			t.Errorf("%q: got %+v, %v, want it refused", input, d, err)
		}
	}
}

func TestProgramAnswersWhatAnAuthorizerAnswers(t *testing.T) {
	sets := map[string]Set{
		"shipped": {},
		"claims":  module(`decision := object.union(data.dynconfig.acl.decision, {"reason": sprintf("%v %v %v", [input.subject.claims, input.resource, input.request])})`),
		"fails":   module(`decision := {"allow": to_number(input.action) == 1}`),
	}
	for name, set := range sets {
		a, p := open(t, set), program(t, set)
		for _, who := range subjects() {
			for _, access := range everyAccess() {
				want, err := a.Authorize(t.Context(), who, access)
				if err != nil {
					t.Fatal(err)
				}
				e, err := a.Explain(t.Context(), who, access, true)
				if err != nil {
					t.Fatal(err)
				}
				got := decideJSON(t, p, string(e.Input), time.Time{})
				if got.Allow != want.Allow || got.Rule != want.Rule || want.Rule != RuleError && got.Reason != want.Reason {
					t.Errorf("%s: %s %s %s: got %+v, want %+v", name, who.Username, access.Action, access.Kind, got, want)
				}
			}
		}
	}
}
