package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/dynconfig/dynconfig/wire"
)

// The shapes of policy calls are those on the wire.
type (
	PolicySet     = wire.PolicySet
	PolicyState   = wire.PolicyState
	PolicyHistory = wire.PolicyHistory
	PolicyTests   = wire.PolicyTests
)

// stateMembers are what an answer with a PolicyState holds.
var stateMembers = []string{"source", "revision"}

// Policy reads the policy in force.
func (c *Client) Policy(ctx context.Context) (PolicyState, error) {
	return decoded[PolicyState](c.do(ctx, call{method: http.MethodGet, path: "/policy", members: stateMembers}))
}

// PutPolicyOptions say how to put a set; the zero value puts it in force for good.
type PutPolicyOptions struct {
	DryRun     bool          // check it only
	Confirm    time.Duration // the one before comes back unless ConfirmPolicy is called within this; 0: it stays
	IfRevision string        // only if this one is in force, else core.ErrPrecondition; "": no condition
}

// PutPolicy puts a set in force. One that does not compile, whose tests fail, or that would lock its admins out is
// core.ErrInvalid, with file, line and reason among the error's fields.
func (c *Client) PutPolicy(ctx context.Context, set PolicySet, o PutPolicyOptions) (PolicyState, error) {
	if set.Modules == nil {
		set.Modules = map[string]string{}
	}
	body, err := encode(set)
	if err != nil {
		return PolicyState{}, err
	}
	r := call{method: http.MethodPut, path: "/policy", query: url.Values{}, header: WriteOptions{}.header(), body: body, members: stateMembers}
	if o.DryRun {
		r.query.Set("dry_run", "true")
	}
	if o.Confirm != 0 {
		r.query.Set("confirm", o.Confirm.String())
	}
	ifRevision(r.header, o.IfRevision)
	return decoded[PolicyState](c.do(ctx, r))
}

// ifRevision makes a change of the policy depend on which one is in force; "": it does not.
func ifRevision(h http.Header, revision string) {
	if revision != "" {
		h.Set("If-Match", `"`+revision+`"`)
	}
}

// ConfirmPolicy keeps a set that was put with Confirm.
func (c *Client) ConfirmPolicy(ctx context.Context, revision string) (PolicyState, error) {
	r := call{path: "/policy/confirm", header: WriteOptions{}.header(), members: stateMembers}
	return post[PolicyState](ctx, c, r, map[string]string{"revision": revision})
}

// RollbackPolicyOptions say how to put a set of the history in force again; the zero value just does.
type RollbackPolicyOptions struct {
	Note       string // why, for the history
	IfRevision string // only if this one is in force, else core.ErrPrecondition; "": no condition
}

// RollbackPolicy puts a set of the history in force again.
func (c *Client) RollbackPolicy(ctx context.Context, revision string, o RollbackPolicyOptions) (PolicyState, error) {
	body := map[string]string{"revision": revision}
	if o.Note != "" {
		body["note"] = o.Note
	}
	r := call{path: "/policy/rollback", header: WriteOptions{}.header(), members: stateMembers}
	ifRevision(r.header, o.IfRevision)
	return post[PolicyState](ctx, c, r, body)
}

// PolicyHistory lists the sets that were put, newest first, at most limit; 0: the server's choice.
func (c *Client) PolicyHistory(ctx context.Context, limit int) (PolicyHistory, error) {
	q := url.Values{}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	return decoded[PolicyHistory](c.do(ctx, call{method: http.MethodGet, path: "/policy/history", query: q, members: []string{"versions"}}))
}

// TestPolicy runs the tests of a draft at the server.
func (c *Client) TestPolicy(ctx context.Context, set PolicySet) (PolicyTests, error) {
	if set.Modules == nil {
		set.Modules = map[string]string{}
	}
	return post[PolicyTests](ctx, c, call{path: "/policy/test", members: []string{"passed", "failed"}}, set)
}

// post sends a question or a change and reads what came of it.
func post[T any](ctx context.Context, c *Client, r call, body any) (T, error) {
	text, err := encode(body)
	if err != nil {
		var none T
		return none, err
	}
	r.method, r.body = http.MethodPost, text
	return decoded[T](c.do(ctx, r))
}

func decoded[T any](a answer, err error) (T, error) {
	var into T
	if err != nil {
		return into, err
	}
	return into, a.decode(&into)
}
