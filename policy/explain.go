package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// Explain decides an access anew, by the policy in force, and says by which rule and line, what that rule saw and, of a
// denial, which change of a list would lift it. It neither uses nor keeps decisions. full is for those who administer the
// item; others are not shown whom else its lists name.
func (a *Authorizer) Explain(ctx context.Context, who *core.Subject, ask core.Access, full bool) (wire.Explanation, error) {
	p := a.current.Load()
	if ask.Time.IsZero() {
		ask.Time = a.now()
	}
	input, err := p.complete(a.terms, who, &ask)
	if err != nil {
		return wire.Explanation{}, core.Errorf(core.ErrInvalid, "Claims are not JSON").Because(err)
	}
	d, failed := p.evaluate(ctx, input, ask.Time)
	if ctx.Err() != nil {
		return wire.Explanation{}, core.Errorf(core.ErrUnavailable, "The request ended before it was decided").Because(ctx.Err())
	}
	e := wire.Explanation{Allow: d.Allow, Rule: d.Rule, Reason: d.Reason, Key: ask.Key, Action: string(ask.Action), Grant: line(d.Grant, ask.Key)}
	var at *ast.Location
	if failed != nil {
		e.Rule = RuleError
		e.Reason, at = p.whyFailed(ctx, input, &ask, failed)
	} else {
		at = p.where(ctx, input, &ask, d)
	}
	if at != nil {
		e.File, e.Line = at.File, at.Row
	}
	if !d.Allow && failed == nil {
		near, exhausted := a.nearest(ctx, p, who, &ask)
		if e.Nearest = near; exhausted {
			e.Reason = hopeless(d.Reason, at)
		}
	}
	e.Input, err = shown(input, who.Username, full)
	return e, err
}

// complete is the document that a policy sees, with the members that it does not read, but for claims: of these, those alone
// that it reads.
func (p *policy) complete(t *terms, who *core.Subject, ask *core.Access) (ast.Value, error) {
	some := &core.Subject{Username: who.Username, Claims: map[string]any{}}
	for _, name := range p.reads.claims {
		if v, ok := who.Claims[name]; ok {
			some.Claims[name] = v
		}
	}
	if p.reads.allClaims {
		some.Claims = who.Claims
	}
	all := &policy{reads: reads{key: true, operation: true, changes: true, address: true, allClaims: true, volatile: true}}
	return all.input(t, some, ask)
}

// where is the place of the rule that took a decision; nil if a second run took another, as with a builtin that answers anew.
func (p *policy) where(ctx context.Context, input ast.Value, ask *core.Access, d core.Decision) *ast.Location {
	w := &witness{}
	answer, err := p.traced(ctx, input, ask.Time, w)
	if err != nil {
		return nil
	}
	again, err := decisionOf(answer)
	if err != nil || again.Allow != d.Allow || again.Rule != d.Rule || again.Reason != d.Reason {
		return nil
	}
	return w.source()
}

// whyFailed says why a run failed, as a sentence that quotes no claim, and where.
func (p *policy) whyFailed(ctx context.Context, input ast.Value, ask *core.Access, failed error) (string, *ast.Location) {
	w := &witness{}
	answer, err := p.traced(ctx, input, ask.Time, w)
	if err == nil {
		if _, err = decisionOf(answer); err != nil {
			return "The policy failed to decide: " + err.Error(), w.source()
		}
		err = failed // slow at times, or another answer each time
	}
	why, at := p.failure(err, w)
	return "The policy failed to decide: " + why, at
}

// hopeless is the reason of a denial that no list could lift.
func hopeless(reason string, at *ast.Location) string {
	rule := "the policy denies it whatever the lists say"
	if at != nil {
		rule = fmt.Sprintf("the rule at %s denies it whatever the lists say", place(at))
	}
	if reason == "" {
		return strings.ToUpper(rule[:1]) + rule[1:]
	}
	return reason + "; " + rule
}

// line is a grant for people: it names the item where a decision, which may serve many, does not.
func line(g *core.Grant, item string) *wire.Line {
	if g == nil {
		return nil
	}
	l := &wire.Line{Source: g.Source, Name: g.Name, List: g.List, Entry: g.Entry}
	if l.Name == "" && l.Source != "server" {
		l.Name = item
	}
	return l
}

// shown is the input as JSON. Unless it is shown in full, lists keep only the entries that match a user.
func shown(input ast.Value, username string, full bool) (json.RawMessage, error) {
	document, err := ast.JSON(input)
	if err != nil {
		return nil, err
	}
	if !full {
		hideOthers(document, username)
	}
	return json.Marshal(document)
}

// hideOthers takes from every list in a document, which is "acls" or below, the entries that do not match a user.
func hideOthers(document any, username string) {
	resource := member(document, "resource")
	hideIn(member(resource, "acls"), username)
	links, _ := member(resource, "namespace_acls").([]any)
	for _, link := range links {
		hideIn(member(link, "acls"), username)
	}
}

func hideIn(acls any, username string) {
	lists, _ := acls.(map[string]any)
	for _, list := range lists {
		names, _ := member(list, "names").(map[string]any)
		for name := range names {
			if name != username {
				delete(names, name)
			}
		}
		prefixes, _ := member(list, "prefixes").([]any)
		mine := []any{}
		for _, prefix := range prefixes {
			if text, ok := prefix.(string); ok && strings.HasPrefix(username, text) {
				mine = append(mine, prefix)
			}
		}
		if list, ok := list.(map[string]any); ok {
			list["prefixes"] = mine
		}
	}
}

func member(object any, name string) any {
	o, _ := object.(map[string]any)
	return o[name]
}
