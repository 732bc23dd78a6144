package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/core"
)

func TestPolicyCallsSayWhatTheContractSays(t *testing.T) {
	t.Parallel()
	c, all := answering(t, client.Options{}, func(n int, w http.ResponseWriter) {
		if n < 14 {
			fmt.Fprint(w, everyMember)
		} else {
			fmt.Fprint(w, `{"decisions":[]}`)
		}
	})
	ctx, denied := t.Context(), false
	since := time.Date(2026, 3, 1, 12, 0, 0, 5e8, time.FixedZone("", 3600))
	set := client.PolicySet{Modules: map[string]string{"a.rego": "x <y>"}, Data: json.RawMessage(`{"n":1.0}`), Note: "n"}
	for _, call := range []func() error{
		func() error { return second(c.Policy(ctx)) },
		func() error { return second(c.PutPolicy(ctx, set, client.PutPolicyOptions{})) },
		func() error {
			return second(c.PutPolicy(ctx, client.PolicySet{}, client.PutPolicyOptions{DryRun: true, Confirm: 5 * time.Minute, IfRevision: "e:7"}))
		},
		func() error { return second(c.ConfirmPolicy(ctx, "e:7")) },
		func() error { return second(c.RollbackPolicy(ctx, "e:6", client.RollbackPolicyOptions{})) },
		func() error {
			return second(c.RollbackPolicy(ctx, "e:6", client.RollbackPolicyOptions{Note: "why", IfRevision: "e:8"}))
		},
		func() error { return second(c.PolicyHistory(ctx, 0)) },
		func() error { return second(c.PolicyHistory(ctx, 7)) },
		func() error { return second(c.TestPolicy(ctx, set)) },
		func() error { return second(c.Explain(ctx, client.Question{Action: "read", Key: "a.b"})) },
		func() error {
			return second(c.Explain(ctx, client.Question{
				Action: "read", Key: "a", Kind: "document", Environment: "prod",
				Subject: &client.Asker{Username: "bob", Claims: map[string]any{"id": json.Number("9007199254740993")}},
			}))
		},
		func() error {
			return second(c.WhoCan(ctx, client.Question{Action: "read", Key: "a", Subject: &client.Asker{Username: "x"}}))
		},
		func() error { return second(c.ReplayPolicy(ctx, client.ReplayRequest{Revision: "e:7"})) },
		func() error {
			return second(c.ReplayPolicy(ctx, client.ReplayRequest{PolicySet: client.PolicySet{Modules: map[string]string{}}, Since: since}))
		},
		func() error {
			for _, err := range c.Decisions(ctx, client.DecisionFilter{
				Principal: "a b", Action: "read", Kind: "key", Key: "k", Environment: "prod", Rule: "r", RequestID: "i", Allow: &denied, Since: since, Limit: 9,
			}) {
				return err
			}
			return nil
		},
	} {
		if err := call(); err != nil {
			t.Error(err)
		}
	}
	const sent = `{"modules":{"a.rego":"x <y>"},"data":{"n":1.0},"note":"n"}`
	want := []said{
		{Method: "GET", Target: "/policy"},
		{Method: "PUT", Target: "/policy", Body: sent},
		{Method: "PUT", Target: "/policy?confirm=5m0s&dry_run=true", Body: `{"modules":{}}`, Match: `"e:7"`},
		{Method: "POST", Target: "/policy/confirm", Body: `{"revision":"e:7"}`},
		{Method: "POST", Target: "/policy/rollback", Body: `{"revision":"e:6"}`},
		{Method: "POST", Target: "/policy/rollback", Body: `{"note":"why","revision":"e:6"}`, Match: `"e:8"`},
		{Method: "GET", Target: "/policy/history"},
		{Method: "GET", Target: "/policy/history?limit=7"},
		{Method: "POST", Target: "/policy/test", Body: sent},
		{Method: "POST", Target: "/policy/explain", Body: `{"action":"read","key":"a.b"}`},
		{Method: "POST", Target: "/policy/explain", Body: `{"subject":{"username":"bob","claims":{"id":9007199254740993}},"action":"read","key":"a","kind":"document","environment":"prod"}`},
		{Method: "POST", Target: "/policy/who-can", Body: `{"action":"read","key":"a"}`},
		{Method: "POST", Target: "/policy/replay", Body: `{"revision":"e:7"}`},
		{Method: "POST", Target: "/policy/replay", Body: `{"modules":{},"since":"2026-03-01T12:00:00.5+01:00"}`},
		{Method: "GET", Target: "/policy/decisions?action=read&allow=false&env=prod&key=k&kind=key&limit=9&principal=a+b&request_id=i&rule=r&since=2026-03-01T11%3A00%3A00.5Z"},
	}
	got := all()
	changes := map[string]bool{"/policy": true, "/policy?confirm=5m0s&dry_run=true": true, "/policy/confirm": true, "/policy/rollback": true}
	for i := range got {
		if (got[i].Key != "") != (got[i].Method != "GET" && changes[got[i].Target]) {
			t.Errorf("%s %s under the idempotency key %q", got[i].Method, got[i].Target, got[i].Key)
		}
		got[i].Key = ""
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestARefusedPolicySaysWhatIsWrongWithItsParts(t *testing.T) {
	t.Parallel()
	refusal := &core.Error{Kind: core.ErrInvalid, Detail: "Policy does not compile", Fields: []core.FieldError{{Path: "a.rego:3", Reason: "unsafe"}}}
	c, _ := answering(t, client.Options{}, func(_ int, w http.ResponseWriter) { fail(w, refusal) })
	_, err := c.PutPolicy(t.Context(), client.PolicySet{}, client.PutPolicyOptions{})
	var e *core.Error
	if !errors.As(err, &e) || !errors.Is(err, core.ErrInvalid) || !cmp.Equal(e.Fields, refusal.Fields) {
		t.Errorf("got %#v", err)
	}
}

func TestDecisionsFollowTheirCursorsToTheEnd(t *testing.T) {
	t.Parallel()
	c, all := answering(t, client.Options{}, func(n int, w http.ResponseWriter) {
		fmt.Fprint(w, []string{`{"decisions":[{"id":"2"},{"id":"1"}],"nextCursor":"c"}`, `{"decisions":[{"id":"0"}]}`}[n])
	})
	var ids string
	for d, err := range c.Decisions(t.Context(), client.DecisionFilter{Key: "k"}) {
		if err != nil {
			t.Fatal(err)
		}
		ids += d.ID
	}
	if ids != "210" || all()[1].Target != "/policy/decisions?cursor=c&key=k" {
		t.Errorf("got %s by %+v", ids, all())
	}
}
