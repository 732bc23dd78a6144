package rest

import (
	"crypto/sha256"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

const (
	exampleModule = `package dynconfig.authz\n\nimport rego.v1\n\ndecision := data.dynconfig.acl.decision\n`
	exampleSet    = `{"modules":{"authz.rego":"` + exampleModule + `"},"note":"as shipped"}`
	exampleState  = `{"source":"server","revision":"k3v9x2p7:418","loadedAt":"2026-03-01T12:00:00.123456Z","modules":{"authz.rego":"` + exampleModule +
		`"},"note":"as shipped","author":"admin-user"}`
)

func policyOperations() []*operation {
	return slices.Concat(policyChanges(), policyQuestions())
}

// policyChanges are the operations on the policy itself.
func policyChanges() []*operation {
	changed := func(about string) []answer {
		return []answer{{status: 200, about: about, shape: wire.PolicyState{}, example: exampleState, headers: writeHeaders}}
	}
	errs := slices.Concat(writeErrors, bodyErrors)
	return []*operation{
		{
			method: http.MethodGet, path: "/policy", id: "getPolicy", tag: "policy", summary: "Read the policy in force",
			about:  "Answers with where the policy comes from and, for those who may read it, its modules. The shipped rules, which are always loaded, are not among them.",
			params: append(environmentParams(), ifNotRevision("Revisions that are known already: 304 if one of them is in force, or for `*`."), minRevision()), run: policyRun(getPolicy),
			answers: []answer{
				{status: 200, about: "The policy.", shape: wire.PolicyState{}, example: exampleState, headers: []string{"ETag"}},
				{status: 304, about: "It is one of those named.", headers: []string{"ETag"}},
			},
			errors: []error{core.ErrForbidden, core.ErrNotFound, core.ErrCompacted},
		},
		{
			method: http.MethodPut, path: "/policy", id: "putPolicy", tag: "policy", summary: "Put a policy in force",
			about: "The set replaces the one before as a whole. It takes effect only if it compiles, its tests pass, and the caller and one of the " +
				"server's admins would still administer the policy under it; else 422 with file, line and reason, and the policy stays. " +
				"409 where the policy comes from a directory or bundle.",
			params: append(policyWriteParams(), dryRun(), confirmWithin()),
			body:   setBody("The policy."), run: policyRun(putPolicy),
			answers: changed("The policy is in force or, with `dry_run`, could be."), errors: errs,
		},
		{
			method: http.MethodPost, path: "/policy/confirm", id: "confirmPolicy", tag: "policy", summary: "Keep a policy that waits for it",
			about:  "Keeps a policy that was put with `confirm`. It is asked under that very policy, and so proves that its admins are not locked out.",
			params: append(environmentParams(), idempotencyParam()), body: jsonBody(revisionSchema(), `{"revision":"k3v9x2p7:418"}`), run: policyRun(confirmPolicy),
			answers: changed("The policy stays."), errors: errs,
		},
		{
			method: http.MethodGet, path: "/policy/history", id: "policyHistory", tag: "policy", summary: "List the policies that were put",
			about:  "Lists the stored sets, newest first, as far back as history is kept.",
			params: append(environmentParams(), limitParam("At most so many."), minRevision()), run: policyRun(policyHistory),
			answers: []answer{{
				status: 200, about: "The sets.", shape: wire.PolicyHistory{},
				example: `{"versions":[{"revision":"k3v9x2p7:418","author":"admin-user","time":"2026-03-01T12:00:00.123456Z","note":"as shipped","modules":["authz.rego"],"event":"put"}]}`,
			}},
			errors: []error{core.ErrForbidden, core.ErrNotFound, core.ErrCompacted},
		},
		{
			method: http.MethodPost, path: "/policy/rollback", id: "rollbackPolicy", tag: "policy", summary: "Put an earlier policy in force",
			about:  "Puts a set of the history anew, under the same conditions as any other.",
			params: policyWriteParams(), body: jsonBody(revisionSchema("note"), `{"revision":"k3v9x2p7:407","note":"the freeze is over"}`), run: policyRun(rollbackPolicy),
			answers: changed("The set is in force."), errors: append(slices.Clone(errs), core.ErrCompacted),
		},
	}
}

func getPolicy(c *call, p Policies) error {
	if err := c.reach(); err != nil {
		return err
	}
	state, err := p.State(c.ctx(), c.caller())
	if err != nil {
		return err
	}
	if c.in.knows(&state) {
		c.w.Header()["Etag"] = []string{`"` + state.Revision + `"`}
		c.none(http.StatusNotModified)
		return nil
	}
	return c.policyState(state, false)
}

func putPolicy(c *call, p Policies) error {
	set, err := c.setBody()
	if err != nil {
		return err
	}
	o := wire.PutPolicy{PolicyCondition: c.policyCondition(), DryRun: c.in.dryRun, Confirm: c.in.confirm}
	return c.changePolicy(p, []any{"put", set, o}, func(caller core.Caller) (wire.PolicyState, error) { return p.Put(c.ctx(), caller, set, o) })
}

func confirmPolicy(c *call, p Policies) error {
	revision, _, err := c.revisionBody(false)
	if err != nil {
		return err
	}
	return c.changePolicy(p, []any{"confirm", revision}, func(caller core.Caller) (wire.PolicyState, error) {
		return p.Confirm(c.ctx(), caller, revision)
	})
}

func rollbackPolicy(c *call, p Policies) error {
	revision, note, err := c.revisionBody(true)
	if err != nil {
		return err
	}
	o := wire.RollbackPolicy{PolicyCondition: c.policyCondition(), Note: note}
	return c.changePolicy(p, []any{"rollback", revision, o}, func(caller core.Caller) (wire.PolicyState, error) {
		return p.Rollback(c.ctx(), caller, revision, o)
	})
}

func (c *call) policyCondition() wire.PolicyCondition {
	return wire.PolicyCondition{IfMatch: c.in.revisions, IfNoneMatch: c.in.known}
}

// changePolicy carries out a change, once under its Idempotency-Key, and answers with the policy that came of it. A repeat is
// told what it changed the policy to, whole if that is still in force.
func (c *call) changePolicy(p Policies, asked []any, change func(core.Caller) (wire.PolicyState, error)) error {
	var state wire.PolicyState
	run := func(caller core.Caller) (err error) {
		state, err = change(caller)
		return err
	}
	if c.in.idempotency == "" || c.in.dryRun {
		if err := run(c.caller()); err != nil {
			return err
		}
		return c.policyState(state, !c.in.dryRun)
	}
	once := core.Once{Key: c.in.idempotency, Digest: sha256.Sum256(marshal(asked))}
	earlier, err := c.s.engine.PolicyOnce(c.ctx(), c.caller(), once, run)
	if err != nil {
		return err
	}
	if earlier != nil {
		at := core.Position{Epoch: c.s.engine.Epoch(), Revision: earlier.Revision}.String()
		if state, err = p.State(c.ctx(), c.caller()); err != nil || state.Revision != at {
			state = wire.PolicyState{Source: "server", Revision: at, LoadedAt: earlier.Modified, Author: earlier.Author}
		}
	}
	return c.policyState(state, true)
}

func policyHistory(c *call, p Policies) error {
	if err := c.reach(); err != nil {
		return err
	}
	limit := c.in.limit
	if limit == 0 {
		limit = core.DefaultLimit
	}
	history, err := p.History(c.ctx(), c.caller(), limit)
	if err != nil {
		return err
	}
	history.Versions = listed(history.Versions)
	return c.object200(history)
}

// policyState answers with the policy. One that is stored is named by the commit that wrote it.
func (c *call) policyState(state wire.PolicyState, written bool) error {
	h := c.w.Header()
	h["Etag"] = []string{`"` + state.Revision + `"`}
	if _, err := core.ParsePosition(state.Revision); err == nil && written {
		h["X-Dynconfig-Revision"] = []string{state.Revision}
	}
	return c.object200(state)
}

// policyRun answers with what the server's policies say, if it has any.
func policyRun(run func(*call, Policies) error) func(*call) error {
	return func(c *call) error {
		if c.s.o.Policies == nil {
			return core.Errorf(core.ErrNotFound, "This server does not offer that")
		}
		return run(c, c.s.o.Policies)
	}
}

func revisionSchema(more ...string) *huma.Schema {
	s := &huma.Schema{Type: "object", AdditionalProperties: false, Required: []string{"revision"}, Properties: map[string]*huma.Schema{
		"revision": {Type: "string", MinLength: whole(1), MaxLength: whole(maxRevision), Description: "As `GET /policy` or its history names it."},
	}}
	if slices.Contains(more, "note") {
		s.Properties["note"] = noteSchema()
	}
	return s
}
