package core

import (
	"context"
	"strings"
)

// Policies are kept as entries of the system. So they have versions and a history, every node hears of them through the log,
// and a watcher that resumes is told when the rules became others since. What is in them the Engine does not know.

// The names of the entries of KindPolicy.
const (
	// PolicySet is the set that was put through the server.
	PolicySet = "set"
	// PolicyInForce says what decides, whatever its source: its value is a digest. A node that has loaded another than is
	// said there writes it.
	PolicyInForce = "in-force"
)

var policyKeys = string(MakeKey(SystemEnv, KindPolicy, ""))

// PolicyWrite is a change of the stored set.
type PolicyWrite struct {
	Value     []byte
	Version   int64  // the version that it replaces; 0: there is none yet
	InForce   []byte // what decides by it, for PolicyInForce; nil: as before
	Note      string
	Operation string // what the caller is doing, for the policy and the audit
}

// Policy returns an entry of KindPolicy as the store has it now; the zero Entry if there is none.
func (e *Engine) Policy(ctx context.Context, name string) (Entry, error) {
	if err := e.sync(ctx); err != nil {
		return Entry{}, err
	}
	page, err := e.store.Get(ctx, []Key{MakeKey(SystemEnv, KindPolicy, name)}, e.tail.head())
	if err != nil || len(page.Entries) == 0 || page.Entries[0].Deleted {
		return Entry{}, err
	}
	return page.Entries[0], nil
}

// PolicyHistory returns the changes of the stored set before a revision (0: all), newest first.
func (e *Engine) PolicyHistory(ctx context.Context, before Revision, limit int) ([]Record, error) {
	return e.store.History(ctx, MakeKey(SystemEnv, KindPolicy, PolicySet), before, limit)
}

// WritePolicy stores a set for a caller who administers the policy. A *ConflictError says that it was changed meanwhile.
func (e *Engine) WritePolicy(ctx context.Context, c Caller, w PolicyWrite) (Entry, error) {
	ask := Access{Action: ActionAdmin, Kind: KindPolicy, Key: PolicySet, Exists: w.Version > 0, Operation: w.Operation}
	d, err := e.Require(ctx, c, ask)
	if err != nil {
		return Entry{}, err
	}
	entry, err := e.storePolicy(ctx, c.Subject.name(), w, &c)
	if err != nil {
		e.record(&c, ask, OutcomeFailed, "", 0)
		return Entry{}, err
	}
	e.record(&c, ask, OutcomeAllowed, d.Rule, entry.Revision)
	return entry, nil
}

// RevertPolicy stores a set on nobody's behalf: one that was not confirmed in time makes room for the one before.
func (e *Engine) RevertPolicy(ctx context.Context, w PolicyWrite) (Entry, error) {
	entry, err := e.storePolicy(ctx, serverName, w, nil)
	if err == nil {
		e.options.Audit.Append(AuditEntry{
			Time: e.now(), Actor: serverName, Action: "revert", Kind: KindPolicy, Key: PolicySet, Outcome: OutcomeAllowed, Revision: entry.Revision,
		})
	}
	return entry, err
}

// serverName is the author of what the server does by itself.
const serverName = "dynconfig"

func (e *Engine) storePolicy(ctx context.Context, author string, w PolicyWrite, c *Caller) (Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, e.within(writeFor))
	defer cancel()
	set := MakeKey(SystemEnv, KindPolicy, PolicySet)
	txn := Txn{
		Meta:   Meta{Author: author, Note: w.Note, Attrs: map[string]string{"operation": w.Operation}},
		Checks: []Check{{Key: set, Version: &w.Version}},
		Ops:    []Op{{Key: set, Do: OpPut, Doc: Doc{Value: w.Value}}},
	}
	if w.InForce != nil {
		txn.Ops = append(txn.Ops, Op{Key: MakeKey(SystemEnv, KindPolicy, PolicyInForce), Do: OpPut, Doc: Doc{Value: w.InForce}})
	}
	if err := e.remember(&txn, c); err != nil {
		return Entry{}, err
	}
	commit, err := e.commit(ctx, txn)
	if err != nil {
		return Entry{}, e.told(err)
	}
	for i := range commit.Changes {
		if commit.Changes[i].Entry.Key == set {
			return commit.Changes[i].Entry, nil
		}
	}
	return Entry{}, Errorf(ErrInternal, "")
}

// MarkPolicy says what decides by now, unless the log says so already, at a revision or after it: what this node showed up
// to there may have been judged by another policy, so that whoever resumes from it must begin anew.
func (e *Engine) MarkPolicy(ctx context.Context, inForce []byte, since Revision) error {
	for {
		held, err := e.Policy(ctx, PolicyInForce)
		if err != nil || string(held.Doc.Value) == string(inForce) && held.Revision >= since {
			return err
		}
		_, err = e.commit(ctx, Txn{
			Meta:   Meta{Author: serverName},
			Checks: []Check{{Key: MakeKey(SystemEnv, KindPolicy, PolicyInForce), Version: &held.Version}},
			Ops:    []Op{{Key: MakeKey(SystemEnv, KindPolicy, PolicyInForce), Do: OpPut, Doc: Doc{Value: inForce}}},
		})
		if KindOf(err) != ErrConflict { //nolint:errorlint // KindOf returns the sentinel itself
			return e.told(err)
		}
	}
}

// PolicyMoved returns a channel of capacity one that holds something after a commit touched an entry of KindPolicy.
func (e *Engine) PolicyMoved() <-chan struct{} { return e.tail.policy }

// touchesPolicy reports whether an item is of KindPolicy.
func touchesPolicy(it *item) bool { return strings.HasPrefix(string(it.key), policyKeys) }

// Require asks the policy and makes a denial an error and a record. The caller's environment, address, time and request are
// put into the question.
func (e *Engine) Require(ctx context.Context, c Caller, ask Access) (Decision, error) {
	if _, err := e.environment(ctx, c.Environment); err != nil {
		return Decision{}, err
	}
	return e.require(ctx, &c, ask)
}

// Question returns what the policy is asked about an item as it is now, in the caller's environment: to explain a decision,
// not to take one.
func (e *Engine) Question(ctx context.Context, c Caller, action Action, kind Kind, name, operation string) (Access, error) {
	env, err := e.environment(ctx, c.Environment)
	if err != nil {
		return Access{}, err
	}
	ask := Access{
		Action: action, Kind: kind, Environment: c.Environment, Key: name, Exists: true, Operation: operation,
		Address: c.Address, Time: e.now(), Request: c.RequestID,
	}
	if kind == KindEnvironment || kind == KindPolicy || kind == KindAudit && name == "" {
		return ask, nil
	}
	if e.limits.Shared {
		if err := e.sync(ctx); err != nil {
			return Access{}, err
		}
	}
	switch {
	case action == ActionList || action == ActionWatch:
		ask.Chain = e.index.chainOf(env, kind, name)
		return ask, nil
	case kind == KindNamespace:
		err = CheckNamespace(name)
	default:
		err = CheckName(name)
	}
	if err != nil {
		return Access{}, err
	}
	item := kind
	if kind == KindAudit {
		item = KindKey
	}
	it, chain := e.index.view(env, item, name)
	ask.Chain, ask.Exists = chain, it.live(e.now())
	if it != nil && (ask.Exists || kind != KindNamespace) { // a namespace's tombstone rules nothing
		ask.ACL = it.acl
	}
	return ask, nil
}
