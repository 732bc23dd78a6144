package rest

import (
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// policyQuestions are the operations that ask what the policy, or a draft of one, answers.
func policyQuestions() []*operation {
	const (
		grant    = `{"source":"namespace","name":"app","list":"read","entry":"service:*"}`
		input    = `{"subject":{"username":"mallory","claims":{}},"action":"read","environment":"default","resource":{"kind":"key","key":"app.ui.theme"}}`
		denied   = `{"allow":false,"rule":"no-read","reason":"The list read of namespace app does not name this principal","key":"app.ui.theme","action":"read","file":"acl.rego","line":57,`
		nearest  = `"nearest":{"change":"add","source":"namespace","name":"app","list":"read","entry":"mallory","text":"Add mallory to the list read of namespace app"},`
		recorded = `{"id":"1","time":"2026-03-01T12:00:00.123456Z","count":3,"principal":"mallory","action":"read","kind":"key","key":"app.ui.theme",` +
			`"environment":"default","operation":"get","allow":false,"rule":"no-read","policy":"k3v9x2p7:418","nanoseconds":15200,"requestIds":["4QZK6M2X7Y5VJ3N8"],"input":` + input + `}`
	)
	errs := slices.Concat([]error{core.ErrForbidden, core.ErrNotFound, core.ErrTooLarge}, bodyErrors)
	return []*operation{
		{
			method: http.MethodPost, path: "/policy/test", id: "testPolicy", tag: "policy", summary: "Run the tests of a draft",
			about:  "Compiles a set and runs its rules that begin with `test_`, apart from the server and with limits on time and memory. Nothing is put.",
			params: environmentParams(), body: setBody("The draft."), run: policyRun(testPolicy),
			answers: []answer{{
				status: 200, about: "What came of the tests.", shape: wire.PolicyTests{},
				example: `{"passed":7,"failed":[{"test":"data.dynconfig.authz_test.test_freeze","location":"authz_test.rego:12","message":"not true"}],"coverage":91.5}`,
			}},
			errors: errs,
		},
		{
			method: http.MethodPost, path: "/policy/explain", id: "explain", tag: "policy", summary: "Explain a decision",
			about: "Says whether something would be allowed, by which rule and line of a list, or what would have to change. About oneself everyone may ask, " +
				"about others an admin of the item.",
			params: environmentParams(), run: policyRun(explain),
			body: jsonBody(questionSchema(true), `{"subject":{"username":"mallory"},"action":"read","key":"app.ui.theme"}`),
			answers: []answer{{
				status: 200, about: "The decision and why.", shape: wire.Explanation{}, example: denied + nearest + `"input":` + input + `}`,
			}},
			errors: errs,
		},
		{
			method: http.MethodPost, path: "/policy/who-can", id: "whoCan", tag: "policy", summary: "List who may do something",
			about:  "Lists the principals, and patterns of them, that the policy allows something, for admins of the item.",
			params: environmentParams(), body: jsonBody(questionSchema(false), `{"action":"read","key":"app.ui.theme"}`), run: policyRun(whoCan),
			answers: []answer{{
				status: 200, about: "They, and by what.", shape: wire.WhoCan{},
				example: `{"principals":[{"principal":"service:*","rule":"namespace-read","grant":` + grant + `}]}`,
			}},
			errors: errs,
		},
		{
			method: http.MethodPost, path: "/policy/replay", id: "replayPolicy", tag: "policy", summary: "Ask a draft what was asked before",
			about:  "Takes the recorded decisions of a period to a draft, or to a stored set, and tells which it would answer differently.",
			params: environmentParams(), body: replayBody(), run: policyRun(replayPolicy),
			answers: []answer{{
				status: 200, about: "What would change.", shape: wire.Replayed{},
				example: `{"decisions":5120,"changed":3,"changes":[{"principal":"mallory","action":"read","kind":"key","key":"app.ui.theme","environment":"default",` +
					`"allowed":false,"allows":true,"rule":"no-read","newRule":"namespace-read","count":3}]}`,
			}},
			errors: append(slices.Clone(errs), core.ErrConflict, core.ErrCompacted),
		},
		{
			method: http.MethodGet, path: "/policy/decisions", id: "decisions", tag: "policy", summary: "List decisions",
			about: "Lists what was recorded of the decisions of the node that answers, newest first: denials, and as much of the rest as it is set to. " +
				"With the `requestId` of a 403, why that was denied.",
			params: decisionParams(), run: policyRun(decisions),
			answers: []answer{{status: 200, about: "A page of records.", shape: wire.Decisions{}, example: `{"decisions":[` + recorded + `]}`}},
			errors:  []error{core.ErrForbidden, core.ErrNotFound},
		},
	}
}

func testPolicy(c *call, p Policies) error {
	set, err := c.setBody()
	if err != nil {
		return err
	}
	tests, err := p.Test(c.ctx(), c.caller(), set)
	if err != nil {
		return err
	}
	tests.Failed = listed(tests.Failed)
	return c.object200(tests)
}

func explain(c *call, p Policies) error {
	q, caller, err := c.question(true)
	if err != nil {
		return err
	}
	answer, err := p.Explain(c.ctx(), caller, q)
	if err != nil {
		return err
	}
	return c.object200(answer)
}

func whoCan(c *call, p Policies) error {
	q, caller, err := c.question(false)
	if err != nil {
		return err
	}
	answer, err := p.WhoCan(c.ctx(), caller, q)
	if err != nil {
		return err
	}
	answer.Principals = listed(answer.Principals)
	return c.object200(answer)
}

func replayPolicy(c *call, p Policies) error {
	r, err := c.replayBody()
	if err != nil {
		return err
	}
	answer, err := p.Replay(c.ctx(), c.caller(), r)
	if err != nil {
		return err
	}
	answer.Changes = listed(answer.Changes)
	return c.object200(answer)
}

func decisions(c *call, p Policies) error {
	f := *c.in.filter()
	bound := c.decisionsBound()
	if c.in.cursor != "" {
		cursor, err := c.s.openCursor(c.in.cursor, bound)
		if err != nil {
			return err
		}
		f.Cursor = cursor
	}
	if f.Limit = c.in.limit; f.Limit == 0 {
		f.Limit = core.DefaultLimit
	}
	page, err := p.Decisions(c.ctx(), c.caller(), f)
	if err != nil {
		return err
	}
	page.Decisions = listed(page.Decisions)
	if page.NextCursor != "" {
		if page.NextCursor, err = c.s.sealCursor([]byte(page.NextCursor), bound); err != nil {
			return err
		}
	}
	return c.object200(page)
}

// listed is a list that is [] in JSON where it is empty.
func listed[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func questionSchema(subject bool) *huma.Schema {
	enum := func(words []string) (list []any) {
		for _, w := range words {
			list = append(list, w)
		}
		return list
	}
	s := &huma.Schema{Type: "object", AdditionalProperties: false, Required: []string{"action"}, Properties: map[string]*huma.Schema{
		"action":      {Type: "string", Enum: enum(actions()), Description: "What is to be done."},
		"key":         {Type: "string", MaxLength: whole(core.MaxName), Description: "The name of the item; of `list` and `watch`, a namespace. Only environment, policy and audit go without."},
		"kind":        {Type: "string", Enum: enum(kinds()), Default: string(core.KindKey), Description: "What it is."},
		"environment": {Type: "string", Pattern: "^[a-z0-9-]{1,63}$", Description: "Where it is; absent: the request's."},
	}}
	if subject {
		s.Properties["subject"] = &huma.Schema{
			Type: "object", AdditionalProperties: false, Required: []string{"username"}, Description: "Who asks; absent: the caller.",
			Properties: map[string]*huma.Schema{
				"username": {Type: "string", MinLength: whole(1), MaxLength: whole(core.MaxUsername), Description: "A principal."},
				"claims":   {Type: "object", AdditionalProperties: true, Description: "Claims as of a verified token."},
			},
		}
	}
	return s
}
