package core

import (
	"context"
	"errors"
	"strconv"
)

// plan is a Request worked out on what this node knows: the transaction, and what it rests on.
type plan struct {
	txn    Txn
	steps  []planned
	asks   []asked // the ones that allowed
	denied []asked
}

// planned is one Write of a plan.
type planned struct {
	key     Key
	created bool // nothing was there
}

type asked struct {
	Access
	rule string
}

// plan works a request out, in the order in which refusals are given: absent, denied, condition.
func (e *Engine) plan(ctx context.Context, c Caller, env EnvID, r Request) (plan, error) {
	p := plan{txn: Txn{Meta: Meta{Author: c.Subject.name(), Note: r.Note}}}
	if c.RequestID != "" {
		p.txn.Meta.Attrs = map[string]string{"request": c.RequestID}
	}
	held := make([]*item, len(r.Writes)) // what is live, nil where nothing is
	left := make([]*item, len(r.Writes)) // that, or the tombstone
	for i := range r.Writes {
		w := &r.Writes[i]
		it, err := e.settled(ctx, env, w)
		if err != nil {
			return p, err
		}
		left[i] = it
		if it.live(e.now()) {
			held[i] = it
		}
		gone := held[i] == nil && (w.Op == WritePatch || w.Op == WriteDelete) || it == nil && w.Op == WritePurge
		if gone {
			return p, inOperation(absent(w.Kind), i, len(r.Writes))
		}
		p.steps = append(p.steps, planned{key: MakeKey(env, w.Kind, w.Name), created: held[i] == nil})
	}
	if err := e.askAll(ctx, c, env, r, held, left, &p); err != nil {
		return p, err
	}
	for i := range r.Writes {
		w := &r.Writes[i]
		var version int64
		if held[i] != nil {
			version = held[i].version
		}
		if w.IfMatch != nil && !w.IfMatch.Holds(version) || w.IfNone != nil && w.IfNone.Holds(version) {
			return p, inOperation(conditionFailed(version), i, len(r.Writes))
		}
	}
	for i := range r.Writes {
		if err := e.put(ctx, env, &r.Writes[i], held[i], left[i], &p); err != nil {
			return p, err
		}
	}
	p.txn.Checks = append(p.txn.Checks, e.environmentCheck(c.Environment, env)...)
	p.txn.Checks = distinct(p.txn.Checks)
	return p, nil
}

// name returns the subject's username.
func (s *Subject) name() string {
	if s == nil {
		return ""
	}
	return s.Username
}

// settled returns the item that a write meets. One whose time has passed is expired first, so that its last version is
// seen to end before the next one begins.
func (e *Engine) settled(ctx context.Context, env EnvID, w *Write) (*item, error) {
	it := e.index.get(env, w.Kind, w.Name)
	if it == nil || it.deleted || !it.over(e.now()) {
		return it, nil
	}
	if err := e.expire(ctx, it); err != nil && !errors.Is(err, ErrConflict) {
		return nil, err
	}
	return e.index.get(env, w.Kind, w.Name), nil
}

func conditionFailed(version int64) *Error {
	if version == 0 {
		return Errorf(ErrPrecondition, "The condition does not hold: there is nothing")
	}
	return Errorf(ErrPrecondition, "The condition does not hold: the version is %d", version)
}

// askAll asks the policy about every operation before any is refused, so that a batch's denial names them all.
func (e *Engine) askAll(ctx context.Context, c Caller, env EnvID, r Request, held, left []*item, p *plan) error {
	var reason Decision
	var indexes []int
	for i := range r.Writes {
		allowed := true
		for _, ask := range e.asks(c, env, &r.Writes[i], held[i], left[i]) {
			d, err := e.decide(ctx, &c, ask)
			if err != nil {
				return err
			}
			if d.Allow {
				p.asks = append(p.asks, asked{ask, d.Rule})
				continue
			}
			p.denied = append(p.denied, asked{ask, d.Rule})
			if allowed {
				allowed, reason = false, d
				indexes = append(indexes, i)
			}
		}
	}
	switch {
	case indexes == nil:
		return nil
	case len(r.Writes) == 1:
		return denied(reason)
	}
	return deniedParts(indexes)
}

// asks lists what a write asks of the policy. held is the live item or nil; left is it or its tombstone.
func (e *Engine) asks(c Caller, env EnvID, w *Write, held, left *item) []Access {
	ask := Access{
		Action: ActionWrite, Kind: w.Kind, Key: w.Name, Exists: held != nil, Operation: string(w.Op), Changes: w.changes(),
		Chain: e.index.chainOf(env, w.Kind, w.Name),
	}
	left = w.governs(held, left)
	if left != nil {
		ask.ACL = left.acl
	}
	admin := ask
	admin.Action = ActionAdmin
	switch {
	case w.Op == WritePurge: // for server admins, whom no ACL can name
		admin.Kind, admin.Key, admin.ACL, admin.Chain, admin.Exists = KindEnvironment, c.Environment, nil, nil, true
		return []Access{admin}
	case w.Kind == KindNamespace:
		return []Access{admin}
	case w.Op == WriteDelete:
		ask.Action = ActionDelete
		return []Access{ask}
	case held == nil:
		ask.Action = ActionCreate
		if w.rulesOverTombstone(left) {
			return []Access{ask, admin}
		}
	case w.rerules(held):
		return []Access{ask, admin}
	}
	return []Access{ask}
}

// governs returns the item whose own rules count: a tombstone's do for a key, but a namespace without a record is ruled from
// outside alone.
func (w *Write) governs(held, left *item) *item {
	if w.Kind == KindNamespace {
		return held
	}
	return left
}

// rerules reports whether a write sends an ACL or a TTL unlike that of the item.
func (w *Write) rerules(it *item) bool {
	return w.SetACL && !w.ACL.SameSets(aclOf(it)) || w.SetTTL && w.TTL != it.ttl
}

// rulesOverTombstone reports whether a creation says who administers the key, or other things than its tombstone says.
func (w *Write) rulesOverTombstone(left *item) bool {
	if !w.SetACL {
		return false
	}
	return w.ACL != nil && w.ACL.Admin != nil || left != nil && !w.ACL.SameSets(aclOf(left))
}

func aclOf(it *item) *ACL {
	if it == nil || it.acl == nil {
		return nil
	}
	return &it.acl.ACL
}

func (w *Write) changes() Changes {
	var ch Changes
	if w.Value != nil {
		ch |= ChangesValue
	}
	if w.SetTTL {
		ch |= ChangesTTL
	}
	if w.SetACL {
		ch |= ChangesACLs
	}
	return ch
}

// put adds one write to the transaction, with what it rests on: the rules of the entry and of its namespaces, and the
// version where the outcome depends on it.
func (e *Engine) put(ctx context.Context, env EnvID, w *Write, held, left *item, p *plan) error {
	key := MakeKey(env, w.Kind, w.Name)
	check := Check{Key: key, Rules: new(Revision)}
	var version int64
	if left != nil {
		*check.Rules, version = left.rules, left.version
	}
	op := Op{Key: key, Do: OpPut}
	switch w.Op {
	case WriteDelete:
		op.Do = OpDelete
	case WritePurge:
		op.Do = OpPurge
	default:
		doc, fromHeld, err := e.doc(ctx, w, held, left)
		if err != nil {
			return err
		}
		op.Doc = doc
		if fromHeld {
			check.Version = &version
		}
	}
	if w.IfMatch != nil && !w.IfMatch.Any || w.IfNone != nil && !w.IfNone.Any {
		check.Version = &version
	}
	p.txn.Ops = append(p.txn.Ops, op)
	p.txn.Checks = append(p.txn.Checks, check)
	p.txn.Checks = append(p.txn.Checks, e.index.rulesOf(env, w.Name)...)
	return nil
}

// doc is what an entry becomes by a put or patch. What was not sent is kept; fromHeld says that this needed the very
// version held now.
func (e *Engine) doc(ctx context.Context, w *Write, held, left *item) (doc Doc, fromHeld bool, err error) {
	doc = Doc{Value: w.Value, ACL: aclOf(w.governs(held, left))}
	if w.SetACL && (held == nil || !w.ACL.SameSets(doc.ACL)) {
		doc.ACL = w.ACL
		if doc.ACL.Empty() {
			doc.ACL = nil
		}
	}
	if held != nil {
		doc.TTL = held.ttl
	}
	if w.SetTTL {
		doc.TTL = w.TTL
	}
	if doc.TTL > 0 {
		doc.Expires = e.now().Add(doc.TTL)
	}
	if held == nil || w.Value != nil {
		return doc, false, nil
	}
	found, err := e.values.fetch(ctx, []*item{held})
	if err != nil {
		return Doc{}, false, err
	}
	if found[0] == nil || found[0].Revision != held.revision {
		return doc, true, nil // the version check fails, and the write is worked out anew
	}
	doc.Value = found[0].Doc.Value
	if !w.SetTTL {
		doc.Expires = found[0].Doc.Expires
	}
	return doc, true, nil
}

// environmentCheck makes a commit fail that meets an environment deleted meanwhile. The default one cannot be.
func (e *Engine) environmentCheck(name string, env EnvID) []Check {
	if env == DefaultEnv {
		return nil
	}
	key := MakeKey(SystemEnv, KindEnvironment, name)
	var rules Revision
	if it := e.index.at(key); it != nil {
		rules = it.rules
	}
	return []Check{{Key: key, Rules: &rules}}
}

// distinct leaves out checks of a key's rules that stand there already.
func distinct(checks []Check) []Check {
	seen := make(map[Key]bool, len(checks))
	out := checks[:0]
	for _, c := range checks {
		if c.Version == nil && seen[c.Key] {
			continue
		}
		seen[c.Key] = true
		out = append(out, c)
	}
	return out
}

// inOperation says which operation of a batch an error is about.
func inOperation(err error, i, of int) error {
	var e *Error
	if of == 1 || !errors.As(err, &e) {
		return err
	}
	at := "operations[" + strconv.Itoa(i) + "]"
	c := *e
	c.Fields = nil
	for _, f := range e.Fields {
		path := at
		if f.Path != "" {
			path += "." + f.Path
		}
		c.Fields = append(c.Fields, FieldError{Path: path, Reason: f.Reason})
	}
	if c.Fields == nil {
		c.Fields = []FieldError{{Path: at, Reason: e.Detail}}
	}
	return &c
}
