package rest

import (
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// longestConfirm is how long a policy may wait to be confirmed.
const longestConfirm = 24 * time.Hour

func actions() []string {
	return []string{"read", "list", "watch", "create", "write", "delete", "admin"}
}

func kinds() []string {
	return []string{"key", "document", "namespace", "environment", "policy", "audit"}
}

func dryRun() *param {
	return flag("dry_run", "Check it, and put nothing in force.", func(in *inputs, b bool) { in.dryRun = b })
}

func confirmWithin() *param {
	return query("confirm", "Revert to the policy before unless this one is confirmed within so long, at most 24 h: seconds, or a duration such as `5m`.",
		text(), "5m", func(in *inputs, s string) error {
			d, ok := duration(s)
			if !ok || d < time.Second || d > longestConfirm {
				return badParam("confirm", "must be seconds or a duration such as 5m, from 1s to 24h")
			}
			in.confirm = d
			return nil
		})
}

// ifRevision is If-Match of what revisions name.
func ifRevision() *param {
	p := header("If-Match", "Revisions of which one must be in force, or `*`: any; else 412.", `"k3v9x2p7:417"`, func(in *inputs, s string) error {
		list, ok := revisions(s)
		if !ok {
			return badParam("If-Match", `must be * or revisions such as "k3v9x2p7:417"`)
		}
		in.revisions = list
		return nil
	})
	p.many = true
	return p
}

// policyWriteParams are those of what puts a set in force.
func policyWriteParams() []*param {
	return append(environmentParams(), ifRevision(), ifNotRevision("Revisions of which none may be in force, or `*`: 412, since there always is a policy."),
		idempotencyParam())
}

// ifNotRevision is If-None-Match of what revisions name.
func ifNotRevision(about string) *param {
	p := header("If-None-Match", about, `"k3v9x2p7:417"`, func(in *inputs, s string) error {
		list, ok := revisions(s)
		if !ok {
			return badParam("If-None-Match", `must be * or revisions such as "k3v9x2p7:417"`)
		}
		if in.known = list; list == nil {
			in.known = []string{"*"}
		}
		return nil
	})
	p.many = true
	return p
}

// knows reports whether the caller has this state already. Why a newer policy was not loaded is no part of what the revision
// names, and always told.
func (in *inputs) knows(state *wire.PolicyState) bool {
	return state.LastError == "" && (slices.Contains(in.known, state.Revision) || slices.Contains(in.known, "*"))
}

// revisions reads tags in quotes or without, with commas between; "*" is nil.
func revisions(s string) (list []string, ok bool) {
	if strings.Trim(s, " \t") == "*" {
		return nil, true
	}
	for tag := range strings.SplitSeq(s, ",") {
		if tag = strings.Trim(tag, " \t"); tag == "" {
			continue // RFC 9110 allows empty elements
		}
		bare, quoted := strings.CutPrefix(strings.TrimPrefix(tag, "W/"), `"`)
		if quoted {
			if bare, ok = strings.CutSuffix(bare, `"`); !ok {
				return nil, false
			}
		} else {
			bare = tag
		}
		if bare == "" || len(bare) > maxRevision || strings.ContainsFunc(bare, func(r rune) bool { return r <= ' ' || r == '"' || r == '*' || r >= 0x7f }) {
			return nil, false
		}
		list = append(list, bare)
	}
	return list, len(list) > 0
}

// filter is where the parameters of decisions are gathered.
func (in *inputs) filter() *wire.DecisionFilter {
	if in.decisions == nil {
		in.decisions = &wire.DecisionFilter{}
	}
	return in.decisions
}

func decisionParams() []*param {
	exactly := func(name, about, example string, into func(*wire.DecisionFilter) *string) *param {
		return query(name, about, &huma.Schema{Type: "string", MinLength: whole(1), MaxLength: whole(core.MaxName)}, example, func(in *inputs, s string) error {
			if s == "" || len(s) > core.MaxName {
				return badParam(name, "must be 1 to 512 bytes")
			}
			*into(in.filter()) = s
			return nil
		})
	}
	when := func(name, about string, into func(*wire.DecisionFilter) *time.Time) *param {
		return query(name, about+": a time as of RFC 3339, or how long ago, such as `90m`.", text(), "1h", func(in *inputs, s string) error {
			t, ok := moment(s, time.Now())
			if !ok {
				return badParam(name, "must be a time such as 2026-03-01T12:00:00Z, or how long ago, such as 90m")
			}
			*into(in.filter()) = t
			return nil
		})
	}
	return []*param{
		exactly("principal", "Who asked.", "mallory", func(f *wire.DecisionFilter) *string { return &f.Principal }),
		word("action", "For what.", actions(), func(in *inputs, s string) { in.filter().Action = s }),
		word("kind", "Of which kind of item.", kinds(), func(in *inputs, s string) { in.filter().Kind = s }),
		exactly("key", "The item.", "app.ui.theme", func(f *wire.DecisionFilter) *string { return &f.Key }),
		query("env", "Where; absent: in all environments.", &huma.Schema{Type: "string", Pattern: "^[a-z0-9-]{1,63}$"}, "default", func(in *inputs, s string) error {
			in.filter().Environment = s
			return core.CheckEnvironment(s)
		}),
		exactly("rule", "The rule that took it.", "no-read", func(f *wire.DecisionFilter) *string { return &f.Rule }),
		query("allow", "The decision.", &huma.Schema{Type: "boolean"}, false, func(in *inputs, s string) error {
			if s != "true" && s != "false" {
				return badParam("allow", "must be true or false")
			}
			allowed := s == "true"
			in.filter().Allow = &allowed
			return nil
		}),
		exactly("request_id", "The request, such as of a 403.", "4QZK6M2X7Y5VJ3N8", func(f *wire.DecisionFilter) *string { return &f.RequestID }),
		when("since", "Not before", func(f *wire.DecisionFilter) *time.Time { return &f.Since }),
		when("until", "Before", func(f *wire.DecisionFilter) *time.Time { return &f.Until }),
		limitParam("At most so many records on the page."),
		cursorParam(),
	}
}

// moment reads a time as of RFC 3339, or how long before now: seconds or a Go duration.
func moment(s string, now time.Time) (time.Time, bool) {
	if ago, ok := duration(s); ok {
		return now.Add(-ago), true
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	return t, err == nil
}

// decisionsBound is what a cursor of decisions is good for: the same principal, and the same parameters as they were sent.
func (c *call) decisionsBound() []byte {
	query := c.r.URL.Query()
	query.Del("cursor")
	query.Del("limit")
	return []byte("decisions\x00" + query.Encode() + "\x00" + c.subject.Username)
}
