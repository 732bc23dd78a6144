package rest_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/transport/rest"
	"github.com/dynconfig/dynconfig/wire"
)

// policies keeps what it was asked, and answers little.
type policies struct {
	caller   core.Caller
	set      wire.PolicySet
	put      wire.PutPolicy
	revision string
	rollback wire.RollbackPolicy
	limit    int
	question wire.Question
	replay   wire.ReplayRequest
	filter   wire.DecisionFilter
	err      error

	lastError string
}

func (p *policies) state() wire.PolicyState {
	return wire.PolicyState{Source: "server", Revision: "k3v9x2p7:418", Modules: map[string]string{"authz.rego": "package <x>"}, DryRun: p.put.DryRun, LastError: p.lastError}
}

func (p *policies) State(_ context.Context, c core.Caller) (wire.PolicyState, error) {
	p.caller = c
	return p.state(), p.err
}

func (p *policies) Put(_ context.Context, c core.Caller, set wire.PolicySet, o wire.PutPolicy) (wire.PolicyState, error) {
	p.caller, p.set, p.put = c, set, o
	return p.state(), p.err
}

func (p *policies) Confirm(_ context.Context, c core.Caller, revision string) (wire.PolicyState, error) {
	p.caller, p.revision = c, revision
	return p.state(), p.err
}

func (p *policies) Rollback(_ context.Context, c core.Caller, revision string, o wire.RollbackPolicy) (wire.PolicyState, error) {
	p.caller, p.revision, p.rollback = c, revision, o
	return p.state(), p.err
}

func (p *policies) History(_ context.Context, c core.Caller, limit int) (wire.PolicyHistory, error) {
	p.caller, p.limit = c, limit
	return wire.PolicyHistory{}, p.err
}

func (p *policies) Test(_ context.Context, c core.Caller, set wire.PolicySet) (wire.PolicyTests, error) {
	p.caller, p.set = c, set
	return wire.PolicyTests{}, p.err
}

func (p *policies) Explain(_ context.Context, c core.Caller, q wire.Question) (wire.Explanation, error) {
	p.caller, p.question = c, q
	return wire.Explanation{Key: q.Key, Input: json.RawMessage(`{}`)}, p.err
}

func (p *policies) WhoCan(_ context.Context, c core.Caller, q wire.Question) (wire.WhoCan, error) {
	p.caller, p.question = c, q
	return wire.WhoCan{}, p.err
}

func (p *policies) Replay(_ context.Context, c core.Caller, r wire.ReplayRequest) (wire.Replayed, error) {
	p.caller, p.replay = c, r
	return wire.Replayed{}, p.err
}

func (p *policies) Decisions(_ context.Context, c core.Caller, f wire.DecisionFilter) (wire.Decisions, error) {
	p.caller, p.filter = c, f
	return wire.Decisions{NextCursor: "after 17"}, p.err
}

func startWith(t *testing.T, p rest.Policies) *server {
	return start(t, func(o *rest.Options) { o.Policies = p }, nil)
}

const aSet = `{"modules":{"authz.rego":"package dynconfig.authz\n"}}`

var policyRequests = []struct{ method, path, body string }{
	{"GET", "/policy", ""},
	{"PUT", "/policy", aSet},
	{"POST", "/policy/confirm", `{"revision":"a:1"}`},
	{"GET", "/policy/history", ""},
	{"POST", "/policy/rollback", `{"revision":"a:1"}`},
	{"POST", "/policy/test", aSet},
	{"POST", "/policy/explain", `{"action":"read","key":"k"}`},
	{"POST", "/policy/who-can", `{"action":"read","key":"k"}`},
	{"POST", "/policy/replay", `{"modules":{},"since":"1h"}`},
	{"GET", "/policy/decisions", ""},
}

func TestAServerWithoutPoliciesOffersNone(t *testing.T) {
	s := start(t, nil, nil)
	for _, r := range policyRequests {
		s.want(404, r.method, r.path, r.body)
		s.want(401, r.method, r.path, r.body, "as", "")
	}
}

func TestEveryPolicyRouteAsksOnBehalfOfItsCaller(t *testing.T) {
	p := &policies{}
	s := startWith(t, p)
	for _, r := range policyRequests {
		p.caller = core.Caller{}
		a := s.want(200, r.method, r.path, r.body, "as", "bob", "X-Request-Id", "r1")
		if p.caller.Subject == nil || p.caller.Subject.Username != "bob" || p.caller.RequestID != "r1" || p.caller.Environment != "default" {
			t.Errorf("%s %s for %+v", r.method, r.path, p.caller)
		}
		if strings.Contains(a.body, ":null") {
			t.Errorf("%s %s answers null where a list belongs: %s", r.method, r.path, a.body)
		}
	}
}

func TestWhatAPolicyRefusesReachesItsCaller(t *testing.T) {
	p := &policies{err: &core.Error{Kind: core.ErrInvalid, Detail: "The policy does not compile", Fields: []core.FieldError{{Path: "authz.rego:3", Reason: "unsafe variable"}}}}
	s := startWith(t, p)
	for _, r := range policyRequests {
		m := s.want(422, r.method, r.path, r.body).json(t)
		want := []any{map[string]any{"path": "authz.rego:3", "reason": "unsafe variable"}}
		if d := cmp.Diff(want, m["errors"]); d != "" || m["detail"] != "The policy does not compile" {
			t.Errorf("%s %s: %v %s", r.method, r.path, m, d)
		}
	}
}

func TestAPolicyIsPutAsItWasSent(t *testing.T) {
	p := &policies{}
	s := startWith(t, p)
	body := `{"modules":{"authz.rego":"package a\n","sub/b_test.rego":""},"data":{"n": 12345678901234567890.5},"note":"why"}`
	a := s.want(200, "PUT", "/policy?confirm=5m", body, "If-Match", `"k3v9x2p7:417", b:2`)
	want := wire.PolicySet{
		Modules: map[string]string{"authz.rego": "package a\n", "sub/b_test.rego": ""}, Data: json.RawMessage(`{"n": 12345678901234567890.5}`), Note: "why",
	}
	if d := cmp.Diff(want, p.set); d != "" {
		t.Errorf("the set (-want +got):\n%s", d)
	}
	if d := cmp.Diff(wire.PutPolicy{Confirm: 5 * time.Minute, PolicyCondition: wire.PolicyCondition{IfMatch: []string{"k3v9x2p7:417", "b:2"}}}, p.put); d != "" {
		t.Errorf("the options (-want +got):\n%s", d)
	}
	if a.header.Get("Etag") != `"k3v9x2p7:418"` || a.header.Get("X-Dynconfig-Revision") != "k3v9x2p7:418" {
		t.Errorf("header %v", a.header)
	}
	a = s.want(200, "PUT", "/policy?dry_run=true&confirm=60", aSet, "If-Match", "*")
	if d := cmp.Diff(wire.PutPolicy{DryRun: true, Confirm: time.Minute}, p.put); d != "" || a.header.Get("X-Dynconfig-Revision") != "" {
		t.Errorf("a dry run: %v, options (-want +got):\n%s", a.header, d)
	}
	s.want(200, "PUT", "/policy", `{"modules":{}}`)
	if p.set.Modules == nil || len(p.set.Modules) != 0 {
		t.Errorf("a set without modules is %v", p.set.Modules)
	}
}

func TestChangesOfThePolicyNameTheirRevision(t *testing.T) {
	p := &policies{}
	s := startWith(t, p)
	a := s.want(200, "POST", "/policy/rollback", `{"revision":"a:7","note":"back"}`, "If-Match", `"a:8"`)
	back := wire.RollbackPolicy{Note: "back", PolicyCondition: wire.PolicyCondition{IfMatch: []string{"a:8"}}}
	if d := cmp.Diff(back, p.rollback); d != "" || p.revision != "a:7" || a.header.Get("X-Dynconfig-Revision") != "k3v9x2p7:418" {
		t.Errorf("rollback to %q, header %v, options (-want +got):\n%s", p.revision, a.header, d)
	}
	s.want(400, "POST", "/policy/rollback", `{"revision":"a:7"}`, "If-Match", "x y")
	s.want(200, "POST", "/policy/confirm", `{"revision":"a:8"}`)
	if p.revision != "a:8" {
		t.Errorf("confirmed %q", p.revision)
	}
	if s.want(200, "GET", "/policy/history?limit=7", ""); p.limit != 7 {
		t.Errorf("limit %d, want 7", p.limit)
	}
	a = s.want(200, "GET", "/policy", "")
	if a.header.Get("Etag") != `"k3v9x2p7:418"` || a.header.Get("X-Dynconfig-Revision") != "" {
		t.Errorf("header of a read %v", a.header)
	}
}

func TestAPolicyThatIsKnownAlreadyIsNotSentAgain(t *testing.T) {
	p := &policies{}
	s := startWith(t, p)
	tag := s.want(200, "GET", "/policy", "").header.Get("Etag")
	for known, status := range map[string]int{
		tag: 304, "W/" + tag: 304, "k3v9x2p7:418": 304, `"other:1", ` + tag: 304, "*": 304, `"k3v9x2p7:417"`: 200, `"`: 400, ",": 400,
	} {
		a := s.want(status, "GET", "/policy", "", "If-None-Match", known)
		if status == 304 && (a.body != "" || a.header.Get("Etag") != tag) {
			t.Errorf("%s: %v %q", known, a.header, a.body)
		}
	}
	p.lastError = "the newer one does not compile"
	s.want(200, "GET", "/policy", "", "If-None-Match", tag)
	p.err = core.Errorf(core.ErrForbidden, "The policy denies this")
	s.want(403, "GET", "/policy", "", "If-None-Match", tag)
}

func TestPolicyRequestsThatAreNotValidSayWhere(t *testing.T) {
	s := startWith(t, &policies{})
	for _, c := range []struct {
		status                   int
		method, path, body, says string
	}{
		{422, "PUT", "/policy", `{}`, `"path":"modules"`},
		{422, "PUT", "/policy", `{"modules":null}`, `"path":"modules"`},
		{422, "PUT", "/policy", `{"modules":{"a.rego":1}}`, `"path":"modules.a.rego"`},
		{422, "PUT", "/policy", `{"modules":{"a.txt":""}}`, `"path":"modules.a.txt"`},
		{422, "PUT", "/policy", `{"modules":{"../a.rego":""}}`, `"path":"modules.../a.rego"`},
		{422, "PUT", "/policy", `{"modules":{"/a.rego":""}}`, `"path":"modules./a.rego"`},
		{422, "PUT", "/policy", `{"modules":{"a\\b.rego":""}}`, `must be named as a file is`},
		{400, "PUT", "/policy", `{"modules":{"a.rego":"","a.rego":""}}`, `repeated member`},
		{422, "PUT", "/policy", `{"Modules":{}}`, `"path":"Modules"`},
		{422, "PUT", "/policy", `{"modules":{},"data":[]}`, `"path":"data"`},
		{400, "PUT", "/policy", `{"modules":{},"data":{"a":{"b":1,"b":2}}}`, `"path":"data.a.b"`},
		{422, "PUT", "/policy", `{"modules":{},"note":7}`, `"path":"note"`},
		{422, "PUT", "/policy", `{"modules":{},"more":7}`, `unknown member`},
		{422, "PUT", "/policy", `[]`, `must be an object`},
		{400, "PUT", "/policy", `{`, `Broken JSON`},
		{400, "PUT", "/policy?dry_run=yes", aSet, `"path":"dry_run"`},
		{400, "PUT", "/policy?confirm=0", aSet, `"path":"confirm"`},
		{400, "PUT", "/policy?confirm=25h", aSet, `"path":"confirm"`},
		{400, "PUT", "/policy?force=true", aSet, `"path":"force"`},
		{422, "POST", "/policy/rollback", `{}`, `"path":"revision"`},
		{422, "POST", "/policy/rollback", `{"revision":""}`, `"path":"revision"`},
		{422, "POST", "/policy/confirm", `{"revision":"a:1","note":"x"}`, `"path":"note"`},
		{400, "GET", "/policy/history?limit=1001", "", `"path":"limit"`},
		{422, "POST", "/policy/explain", `{}`, `"path":"action"`},
		{422, "POST", "/policy/explain", `{"action":"read"}`, `"path":"key"`},
		{422, "POST", "/policy/explain", `{"action":"eat","key":"k"}`, `"path":"action"`},
		{422, "POST", "/policy/explain", `{"action":"read","key":"k","kind":"idempotency"}`, `"path":"kind"`},
		{422, "POST", "/policy/explain", `{"action":"read","key":"k","environment":"No"}`, `"path":"environment"`},
		{422, "POST", "/policy/explain", `{"action":"read","key":"k","subject":{}}`, `"path":"subject.username"`},
		{422, "POST", "/policy/explain", `{"action":"read","key":"k","subject":{"username":"a*"}}`, `"path":"subject.username"`},
		{422, "POST", "/policy/explain", `{"action":"read","key":"k","subject":{"username":"a","claims":[]}}`, `"path":"subject.claims"`},
		{400, "POST", "/policy/explain", `{"action":"read","key":"k","subject":{"username":"a","claims":{"x":[{"y":1,"y":1}]}}}`, `repeated member`},
		{422, "POST", "/policy/who-can", `{"action":"read","key":"k","subject":{"username":"a"}}`, `"path":"subject"`},
		{422, "POST", "/policy/replay", `{"since":"1h"}`, `"path":"modules"`},
		{422, "POST", "/policy/replay", `{"revision":"a:1"}`, `"path":"since"`},
		{422, "POST", "/policy/replay", `{"revision":"a:1","modules":{}}`, `"path":"revision"`},
		{422, "POST", "/policy/replay", `{"revision":"a:1","since":"yesterday"}`, `"path":"since"`},
		{422, "POST", "/policy/replay", `{"revision":"a:1","since":"1h","until":"2h"}`, `"path":"until"`},
		{400, "GET", "/policy/decisions?allow=no", "", `"path":"allow"`},
		{400, "GET", "/policy/decisions?action=eat", "", `"path":"action"`},
		{400, "GET", "/policy/decisions?since=yesterday", "", `"path":"since"`},
		{400, "GET", "/policy/decisions?principal=", "", `"path":"principal"`},
		{400, "GET", "/policy/decisions?cursor=abc", "", `"path":"cursor"`},
		{400, "GET", "/policy/decisions?user=a", "", `"path":"user"`},
	} {
		if a := s.want(c.status, c.method, c.path, c.body); !strings.Contains(a.body, c.says) {
			t.Errorf("%s %s %s: %s, want %s in it", c.method, c.path, c.body, a.body, c.says)
		}
	}
	s.want(400, "PUT", "/policy", aSet, "If-Match", `"a`)
	s.want(400, "PUT", "/policy", aSet, "If-Match", `,`)
	s.want(415, "PUT", "/policy", aSet, "Content-Encoding", "gzip")
	if a := s.want(405, "DELETE", "/policy", ""); a.header.Get("Allow") != "GET, HEAD, OPTIONS, PUT" {
		t.Errorf("Allow: %s", a.header.Get("Allow"))
	}
}

func TestASetMayBeAMebibyteHoweverItIsEscaped(t *testing.T) {
	p := &policies{}
	s := startWith(t, p)
	room := 1<<20 - len("a.rego")
	s.want(200, "PUT", "/policy", `{"modules":{"a.rego":"`+strings.Repeat(`\n`, room)+`"}}`)
	if n := len(p.set.Modules["a.rego"]); n != room {
		t.Errorf("%d bytes arrived, want %d", n, room)
	}
	s.want(413, "PUT", "/policy", `{"modules":{"a.rego":"`+strings.Repeat(`\n`, room+1)+`"}}`)
	s.want(413, "POST", "/policy/test", `{"modules":{"a.rego":""},"data":{"x":"`+strings.Repeat(`x`, room)+`"}}`)
	s.want(413, "POST", "/policy/replay", `{"revision":"`+strings.Repeat(" ", 4<<20)+`"}`)
	s.want(413, "POST", "/policy/explain", `{"action":"read","key":"k","subject":{"username":"a","claims":{"x":"`+strings.Repeat("x", 64<<10)+`"}}}`)
}
