package policy

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// Bounds of one who-can: what is beyond them is not asked, and the answer is partial. The first is enough for one ACL of the
// greatest length, and one of that length around it.
const (
	maxAsked    = 2*core.MaxACLEntries + 1000
	whoCanLimit = 2 * time.Second
)

// WhoCan finds who may do what is asked, by asking the policy in force for every principal and every pattern that a list
// around the item, or ADMINS, names, and for everyone. A pattern stands for whoever no other entry singles out. The answer is partial where the
// policy looks at more than names in lists.
func (a *Authorizer) WhoCan(ctx context.Context, ask core.Access) (wire.WhoCan, error) {
	p := a.current.Load()
	if ask.Time.IsZero() {
		ask.Time = a.now()
	}
	limited, done := within(ctx, whoCanLimit)
	defer done()
	named := entriesOf(&ask, a.admins)
	answer := wire.WhoCan{Principals: []wire.Holder{}, Partial: p.partial()}
	for i, entry := range slices.Sorted(maps.Keys(named)) {
		if i == maxAsked {
			answer.Partial = true
			break
		}
		d, err := a.asks(limited, p, standIn(entry, named), ask)
		switch {
		case ctx.Err() != nil:
			return wire.WhoCan{}, core.Errorf(core.ErrUnavailable, "The request ended before it was decided").Because(ctx.Err())
		case limited.Err() != nil, errors.Is(err, errLate):
			answer.Partial = true
		}
		if limited.Err() != nil {
			break
		}
		if err == nil && d.Allow {
			answer.Principals = append(answer.Principals, wire.Holder{Principal: entry, Rule: d.Rule, Grant: line(d.Grant, ask.Key)})
		}
	}
	return answer, nil
}

// asks decides for a principal without claims, apart from the decisions that are kept.
func (a *Authorizer) asks(ctx context.Context, p *policy, username string, ask core.Access) (core.Decision, error) {
	input, err := p.input(a.terms, &core.Subject{Username: username}, &ask)
	if err != nil {
		return core.Decision{}, err
	}
	return p.evaluate(ctx, input, ask.Time)
}

// entriesOf is every entry of the lists that an access may be decided by, and "*", for what needs no list.
func entriesOf(ask *core.Access, admins []string) map[string]bool {
	entries := map[string]bool{"*": true}
	add := func(lists ...[]string) {
		for _, list := range lists {
			for _, e := range list {
				entries[e] = true
			}
		}
	}
	add(admins)
	if ask.ACL != nil {
		add(ask.ACL.ACL.Read, ask.ACL.ACL.Write, ask.ACL.ACL.Admin)
	}
	if ask.Chain != nil {
		for _, l := range ask.Chain.Links {
			add(l.Rules.ACL.Read, l.Rules.ACL.Write, l.Rules.ACL.Admin)
		}
	}
	return entries
}

// standIn is the username to ask for an entry: its own or, for a pattern, one that it matches and that no exact entry and no
// longer pattern does.
func standIn(entry string, named map[string]bool) string {
	prefix, pattern := strings.CutSuffix(entry, "*")
	if !pattern || len(prefix) == core.MaxUsername { // nothing longer can exist
		return prefix
	}
	for _, r := range "abcdefghijklmnopqrstuvwxyz0123456789" {
		if name := prefix + string(r); !named[name] && !named[name+"*"] {
			return name
		}
	}
	r := rune('\u4e00')
	for named[prefix+string(r)] || named[prefix+string(r)+"*"] {
		r++
	}
	return prefix + string(r)
}

// partial reports whether a policy may allow somebody whom no list names, or only at times.
func (p *policy) partial() bool {
	r := &p.reads
	return r.anyClaim() || r.volatile || r.address || r.operation || r.changes || p.singlesOut()
}
