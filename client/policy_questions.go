package client

import (
	"context"
	"iter"
	"net/url"
	"strconv"
	"time"

	"github.com/dynconfig/dynconfig/wire"
)

// The shapes of questions about the policy are those on the wire.
type (
	Question       = wire.Question
	Asker          = wire.Asker
	Explanation    = wire.Explanation
	WhoCan         = wire.WhoCan
	Holder         = wire.Holder
	ACLLine        = wire.Line
	ReplayRequest  = wire.ReplayRequest
	Replayed       = wire.Replayed
	Decision       = wire.Decision
	Decisions      = wire.Decisions
	DecisionFilter = wire.DecisionFilter
)

// Explain says whether something would be allowed, and why. A denial is an answer, not an error.
func (c *Client) Explain(ctx context.Context, q Question) (Explanation, error) {
	return post[Explanation](ctx, c, call{path: "/policy/explain", members: []string{"allow", "rule"}}, q)
}

// WhoCan lists the principals, and patterns of them, that the policy allows something; for admins of the item.
func (c *Client) WhoCan(ctx context.Context, q Question) (WhoCan, error) {
	q.Subject = nil
	return post[WhoCan](ctx, c, call{path: "/policy/who-can", members: []string{"principals"}}, q)
}

// ReplayPolicy asks a draft, or a stored set, what was asked in a period, and tells what it would answer differently.
func (c *Client) ReplayPolicy(ctx context.Context, r ReplayRequest) (Replayed, error) {
	return post[Replayed](ctx, c, call{path: "/policy/replay", members: []string{"decisions", "changed"}}, r)
}

// DecisionPages lists recorded decisions page by page, newest first. Limit is the size of a page; 0: the server's choice.
func (c *Client) DecisionPages(ctx context.Context, f DecisionFilter) iter.Seq2[Decisions, error] {
	q := url.Values{}
	for _, p := range []struct{ name, value string }{
		{"principal", f.Principal},
		{"action", f.Action},
		{"kind", f.Kind},
		{"key", f.Key},
		{"env", f.Environment},
		{"rule", f.Rule},
		{"request_id", f.RequestID},
		{"cursor", f.Cursor},
		{"since", instant(f.Since)},
		{"until", instant(f.Until)},
	} {
		if p.value != "" {
			q.Set(p.name, p.value)
		}
	}
	if f.Allow != nil {
		q.Set("allow", strconv.FormatBool(*f.Allow))
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return pages(ctx, c, call{path: "/policy/decisions", query: q, members: []string{"decisions"}}, func(d Decisions) string { return d.NextCursor })
}

// Decisions lists recorded decisions one by one, newest first.
func (c *Client) Decisions(ctx context.Context, f DecisionFilter) iter.Seq2[Decision, error] {
	return func(yield func(Decision, error) bool) {
		for page, err := range c.DecisionPages(ctx, f) {
			if err != nil {
				yield(Decision{}, err)
				return
			}
			for _, d := range page.Decisions {
				if !yield(d, nil) {
					return
				}
			}
		}
	}
}

// instant is a time as a parameter; "" for none.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
