package rest_test

import (
	"encoding/json"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dynconfig/dynconfig/wire"
)

func TestAQuestionIsAboutTheEnvironmentThatItNames(t *testing.T) {
	p := &policies{}
	s := startWith(t, p)
	for _, c := range []struct{ path, header, body, want string }{
		{"", "", "", "default"}, {"", "prod", "", "prod"}, {"?env=test", "prod", "", "test"}, {"?env=test", "prod", "stage", "stage"},
	} {
		body := `{"action":"read","key":"k"}`
		if c.body != "" {
			body = `{"action":"read","key":"k","environment":"` + c.body + `"}`
		}
		var headers []string
		if c.header != "" {
			headers = []string{wire.HeaderEnvironment, c.header}
		}
		s.want(200, "POST", "/policy/explain"+c.path, body, headers...)
		if p.question.Environment != c.want || p.caller.Environment != c.want || p.question.Kind != "key" || p.question.Subject != nil {
			t.Errorf("%+v: asked %+v by a caller in %q", c, p.question, p.caller.Environment)
		}
	}
	s.want(200, "POST", "/policy/who-can", `{"action":"admin","kind":"policy"}`)
}

func TestClaimsOfAQuestionKeepTheirNumbers(t *testing.T) {
	p := &policies{}
	s := startWith(t, p)
	s.want(200, "POST", "/policy/explain", `{"action":"read","key":"k","subject":{"username":"a","claims":{"id":9007199254740993,"of":["x",{"y":null,"z":true}]}}}`)
	want := &wire.Asker{Username: "a", Claims: map[string]any{
		"id": json.Number("9007199254740993"), "of": []any{"x", map[string]any{"y": nil, "z": true}},
	}}
	if d := cmp.Diff(want, p.question.Subject); d != "" {
		t.Errorf("subject (-want +got):\n%s", d)
	}
}

func TestAReplayTakesTimesAndHowLongAgo(t *testing.T) {
	p := &policies{}
	s := startWith(t, p)
	s.want(200, "POST", "/policy/replay", `{"modules":{},"since":"2026-03-01T12:00:00Z"}`)
	if !p.replay.Since.Equal(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)) || !p.replay.Until.IsZero() || p.replay.Modules == nil {
		t.Errorf("replay %+v", p.replay)
	}
	before := time.Now()
	s.want(200, "POST", "/policy/replay", `{"revision":"a:1","since":"90m","until":60}`)
	after := time.Now()
	if at := p.replay.Since.Add(90 * time.Minute); at.Before(before) || at.After(after) || p.replay.Until.Sub(p.replay.Since) != 89*time.Minute {
		t.Errorf("replay %+v, between %v and %v", p.replay, before, after)
	}
}

func TestDecisionsAreFilteredAndPaged(t *testing.T) {
	p := &policies{}
	s := startWith(t, p)
	query := "principal=a%20b&action=read&kind=key&key=app.k&env=prod&rule=no-read&allow=false&request_id=r1&since=2026-03-01T12:00:00Z&until=2026-03-02T12:00:00Z"
	a := s.want(200, "GET", "/policy/decisions?limit=7&"+query, "")
	denied := false
	want := wire.DecisionFilter{
		Principal: "a b", Action: "read", Kind: "key", Key: "app.k", Environment: "prod", Rule: "no-read", RequestID: "r1", Allow: &denied,
		Since: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Until: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC), Limit: 7,
	}
	if d := cmp.Diff(want, p.filter, cmpopts.EquateEmpty()); d != "" || p.caller.Environment != "default" {
		t.Errorf("asked in %q for (-want +got):\n%s", p.caller.Environment, d)
	}
	cursor := "&cursor=" + url.QueryEscape(a.json(t)["nextCursor"].(string))
	s.want(200, "GET", "/policy/decisions?"+query+cursor, "")
	if p.filter.Cursor != "after 17" || p.filter.Limit != 100 {
		t.Errorf("continued with %+v", p.filter)
	}
	s.want(400, "GET", "/policy/decisions?"+query+cursor, "", "as", "bob")
	s.want(400, "GET", "/policy/decisions?principal=c"+cursor, "")
	s.want(400, "GET", "/keys?limit=1"+cursor, "")
	if s.want(200, "GET", "/policy/decisions", ""); !cmp.Equal(wire.DecisionFilter{Limit: 100}, p.filter) {
		t.Errorf("without parameters it asks for %+v", p.filter)
	}
}

func TestAnAdminSeesWhatAnotherPrincipalMayRead(t *testing.T) {
	s := start(t, nil, nil)
	s.want(201, "PUT", "/keys/app.a", `{"value":1,"acls":{"read":["bob"],"admin":["alice"]}}`)
	s.want(201, "PUT", "/keys/app.b", `{"value":2,"acls":{"read":["service:*"],"write":["bob"]}}`)
	s.want(201, "PUT", "/keys/app.c", `{"value":3,"acls":{"read":["bob","carol"]}}`)
	for _, c := range []struct {
		as, query, want string
	}{
		{"admin-user", "principal=bob", `["app.a","app.c"]`},
		{"admin-user", "principal=service:x", `["app.b"]`},
		{"admin-user", "principal=bob&access=write", `["app.b"]`},
		{"admin-user", "principal=dave", `[]`},
		{"admin-user", "principal=admin-user", `["app.a","app.b","app.c"]`},
		{"alice", "principal=bob", `["app.a"]`},
		{"alice", "principal=carol", `[]`},
		{"bob", "principal=bob", `["app.a","app.c"]`},
	} {
		m := s.want(200, "GET", "/keys?"+c.query, "", "as", c.as).json(t)
		if got, _ := json.Marshal(m["keys"]); string(got) != c.want || int(m["total"].(float64)) != len(m["keys"].([]any)) {
			t.Errorf("%s asks %s: %v, want %s", c.as, c.query, m, c.want)
		}
	}
	s.want(403, "GET", "/keys?principal=alice", "", "as", "bob")
	s.want(403, "GET", "/keys?principal=admin-user", "", "as", "carol")
	s.want(422, "GET", "/keys?principal=a*", "")
	s.want(422, "GET", "/keys?principal=", "")
	s.want(400, "GET", "/keys?principal=bob&key=app.a", "")
	s.want(400, "GET", "/namespaces?principal=bob", "")
}

func TestACursorIsGoodForOnePrincipalInQuestion(t *testing.T) {
	s := start(t, nil, nil)
	for _, k := range []string{"a", "b", "c"} {
		s.want(201, "PUT", "/keys/"+k, `{"value":1,"acls":{"read":["bob","carol"]}}`)
	}
	m := s.want(200, "GET", "/keys?principal=bob&limit=1", "").json(t)
	cursor := "&cursor=" + url.QueryEscape(m["nextCursor"].(string))
	if m := s.want(200, "GET", "/keys?principal=bob&limit=2"+cursor, "").json(t); !cmp.Equal(m["keys"], []any{"b", "c"}) {
		t.Errorf("it continues with %v", m)
	}
	s.want(400, "GET", "/keys?principal=carol"+cursor, "")
	s.want(400, "GET", "/keys?limit=1"+cursor, "")
	s.want(400, "GET", "/keys?principal=bob"+cursor, "", "as", "bob")
}
