package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/core"
)

// setOf is a policy of one module: what it adds, and the shipped rules.
func setOf(rules string) client.PolicySet {
	return client.PolicySet{Modules: map[string]string{"authz.rego": "package dynconfig.authz\n\n" + rules + "else := data.dynconfig.acl.decision\n"}}
}

const everybodyReads = `decision := {"allow": true, "rule": "open", "reason": "Everybody reads"} if {
	input.action == "read"
	input.resource.kind == "key"
} `

func TestAPolicyIsPutConfirmedAndRolledBackWhileClientsWork(t *testing.T) {
	t.Parallel()
	_, as := serving(t, "--backend", "memory")
	admin, bob, ctx := as("admin-user"), as("bob"), t.Context()
	if _, err := admin.Put(ctx, "app.k", 1, client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	reads := func() bool {
		_, err := bob.Get(ctx, "app.k", client.GetOptions{})
		if err != nil && !errors.Is(err, core.ErrForbidden) {
			t.Error(err)
		}
		return err == nil
	}
	shipped, err := admin.Policy(ctx)
	if err != nil || shipped.Source != "shipped" || reads() {
		t.Fatalf("at first %+v, %v", shipped, err)
	}
	put, err := admin.PutPolicy(ctx, setOf(everybodyReads), client.PutPolicyOptions{IfRevision: shipped.Revision, Confirm: time.Hour})
	if err != nil || put.Source != "server" || put.ConfirmBy == nil || !reads() {
		t.Fatalf("put %+v, %v", put, err)
	}
	if _, err := bob.ConfirmPolicy(ctx, put.Revision); !errors.Is(err, core.ErrForbidden) {
		t.Errorf("bob confirms: %v", err)
	}
	confirmed, err := admin.ConfirmPolicy(ctx, put.Revision)
	if err != nil || confirmed.ConfirmBy != nil {
		t.Errorf("confirmed %+v, %v", confirmed, err)
	}
	if _, err := admin.PutPolicy(ctx, client.PolicySet{}, client.PutPolicyOptions{IfRevision: put.Revision}); !errors.Is(err, core.ErrPrecondition) {
		t.Errorf("over a revision that passed: %v", err)
	}
	if closed, err := admin.PutPolicy(ctx, setOf("decision := null if false "), client.PutPolicyOptions{}); err != nil || reads() {
		t.Errorf("closed %+v, %v", closed, err)
	}
	if _, err := admin.RollbackPolicy(ctx, confirmed.Revision, client.RollbackPolicyOptions{IfRevision: put.Revision}); !errors.Is(err, core.ErrPrecondition) {
		t.Errorf("back from a revision that passed: %v", err)
	}
	back, err := admin.RollbackPolicy(ctx, confirmed.Revision, client.RollbackPolicyOptions{Note: "it was better"})
	if err != nil || back.Note != "it was better" || !reads() {
		t.Errorf("back %+v, %v", back, err)
	}
	history, err := admin.PolicyHistory(ctx, 3)
	if err != nil || len(history.Versions) != 3 || history.Versions[0].Event != "rollback" || history.Versions[0].Revision != back.Revision {
		t.Errorf("history %+v, %v", history, err)
	}
	if _, err := bob.Policy(ctx); !errors.Is(err, core.ErrForbidden) {
		t.Errorf("bob reads the policy: %v", err)
	}
}

func TestWhoeverIsDeniedCarriesWhatExplainsIt(t *testing.T) {
	t.Parallel()
	s, as := serving(t, "--backend", "memory")
	admin, ctx := as("admin-user"), t.Context()
	if _, err := admin.Put(ctx, "app.k", 1, client.WriteOptions{ACLs: &client.ACL{Read: []string{"web"}, Admin: []string{"alice"}}}); err != nil {
		t.Fatal(err)
	}
	status, body := curl(t, http.MethodGet, s.URL+"/keys/app.k", issued(t, s, "bob"), "")
	var problem struct{ RequestID string }
	if err := json.Unmarshal([]byte(body), &problem); err != nil || status != http.StatusForbidden || problem.RequestID == "" || strings.Contains(body, "web") {
		t.Fatalf("the denial is %d %s", status, body)
	}
	n := 0
	for d, err := range admin.Decisions(ctx, client.DecisionFilter{RequestID: problem.RequestID}) {
		if n++; err != nil || d.Principal != "bob" || d.Key != "app.k" || d.Allow || d.Rule != "no-read" {
			t.Errorf("decision %+v, %v", d, err)
		}
	}
	if n != 1 {
		t.Errorf("%d decisions of that request, want 1", n)
	}
	own, err := as("bob").Explain(ctx, client.Question{Action: "read", Key: "app.k"})
	if err != nil || own.Allow || own.Rule != "no-read" || own.File == "" || own.Line == 0 || own.Nearest == nil || strings.Contains(string(own.Input), "web") {
		t.Errorf("what bob is told of himself: %+v, %s, %v", own, own.Input, err)
	}
	theirs, err := as("alice").Explain(ctx, client.Question{Action: "read", Key: "app.k", Subject: &client.Asker{Username: "web"}})
	if d := cmp.Diff(&client.ACLLine{Source: "key", Name: "app.k", List: "read", Entry: "web"}, theirs.Grant); d != "" || err != nil {
		t.Errorf("what alice is told of web: %v (-want +got):\n%s", err, d)
	}
	if _, err := as("bob").Explain(ctx, client.Question{Action: "read", Key: "app.k", Subject: &client.Asker{Username: "web"}}); !errors.Is(err, core.ErrForbidden) {
		t.Errorf("bob asks about web: %v", err)
	}
	tests, err := admin.TestPolicy(ctx, client.PolicySet{Modules: map[string]string{
		"authz.rego":      "package dynconfig.authz\n\ndecision := data.dynconfig.acl.decision\n",
		"authz_test.rego": "package dynconfig.authz_test\n\ntest_good if true\n\ntest_bad if 1 == 2\n",
	}})
	if err != nil || tests.Passed != 1 || len(tests.Failed) != 1 || !strings.HasPrefix(tests.Failed[0].Location, "authz_test.rego:") {
		t.Errorf("tests %+v, %v", tests, err)
	}
}

func TestARepeatedPutOfAPolicyIsOne(t *testing.T) {
	t.Parallel()
	s, as := serving(t, "--backend", "memory")
	token := issued(t, s, "admin-user")
	put := func() string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL+"/policy", strings.NewReader(`{"modules":{}}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Idempotency-Key", "k")
		res, err := newHTTPClient(t).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("status %d", res.StatusCode)
		}
		return res.Header.Get("X-DynConfig-Revision")
	}
	first := put()
	if again := put(); again != first || first == "" {
		t.Errorf("first at %q, again at %q", first, again)
	}
	if h, err := as("admin-user").PolicyHistory(t.Context(), 0); err != nil || len(h.Versions) != 1 {
		t.Errorf("history %+v, %v", h, err)
	}
}

func TestALargePolicyIsStoredAndGivenBackWhole(t *testing.T) {
	t.Parallel()
	_, as := serving(t, "--backend", "memory")
	admin, set := as("admin-user"), setOf("decision := null if false ")
	set.Modules["long.rego"] = "package long\n\n" + strings.Repeat("# \"quoted\"\n", 50_000)
	if _, err := admin.PutPolicy(t.Context(), set, client.PutPolicyOptions{}); err != nil {
		t.Fatal(err)
	}
	state, err := admin.Policy(t.Context())
	if d := cmp.Diff(set.Modules, state.Modules); d != "" || err != nil {
		t.Errorf("%v, %d bytes of differences", err, len(d))
	}
}
