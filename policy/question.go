package policy

import (
	"github.com/dynconfig/dynconfig/core"
)

// question is an access cut down to what the answer depends on: two that are equal have the same answer. It is compared
// whole, not by a hash alone, so that no answer can be given to another's question.
type question struct {
	generation  uint64
	acl, chain  uint64
	username    string
	environment string
	kind        core.Kind
	action      core.Action
	exists      bool

	// Zero unless the policy reads them.
	changes   core.Changes
	key       string
	operation string
	address   string
	claims    string
}

func (p *policy) question(who *core.Subject, ask *core.Access) question {
	q := question{
		generation:  p.generation,
		acl:         ask.ACL.ID(),
		chain:       ask.Chain.ID(),
		username:    who.Username,
		environment: ask.Environment,
		kind:        ask.Kind,
		action:      ask.Action,
		exists:      ask.Exists,
	}
	if p.reads.key {
		q.key = ask.Key
	}
	if p.reads.operation {
		q.operation = ask.Operation
	}
	if p.reads.changes {
		q.changes = ask.Changes
	}
	if p.reads.address {
		q.address = ask.Address
	}
	if p.reads.allClaims {
		q.claims = string(appendClaim(nil, who.Claims))
	} else if len(p.reads.claims) > 0 {
		q.claims = string(appendClaims(nil, who.Claims, p.reads.claims))
	}
	return q
}
