package policy

import (
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/dynconfig/dynconfig/core"
)

// words are the member names of the input, made once.
type words struct {
	subject, username, claims                                    *ast.Term
	action, environment                                          *ast.Term
	resource, kind, key, namespaces, exists, acls, namespaceACLs *ast.Term
	request, operation, changes, time, address                   *ast.Term
	changed                                                      [4]*ast.Term // in the order of the bits of core.Changes

	kinds   map[core.Kind]*ast.Term
	actions map[core.Action]*ast.Term
}

func newWords() *words {
	w := ast.StringTerm
	all := &words{
		subject: w("subject"), username: w("username"), claims: w("claims"),
		action: w("action"), environment: w("environment"),
		resource: w("resource"), kind: w("kind"), key: w("key"), namespaces: w("namespaces"), exists: w("exists"),
		acls: w("acls"), namespaceACLs: w("namespace_acls"),
		request: w("request"), operation: w("operation"), changes: w("changes"), time: w("time"), address: w("address"),
		changed: [4]*ast.Term{w("value"), w("ttl"), w("acls"), w("schema")},
		kinds:   map[core.Kind]*ast.Term{}, actions: map[core.Action]*ast.Term{},
	}
	for _, kind := range []core.Kind{
		core.KindKey, core.KindDocument, core.KindNamespace, core.KindEnvironment, core.KindPolicy, core.KindAudit,
	} {
		all.kinds[kind] = w(string(kind))
	}
	for _, action := range []core.Action{
		core.ActionRead, core.ActionList, core.ActionWatch, core.ActionCreate, core.ActionWrite, core.ActionDelete, core.ActionAdmin,
	} {
		all.actions[action] = w(string(action))
	}
	return all
}

// word is the term of a text, made anew if it is not one of the known.
func word[T ~string](known map[T]*ast.Term, text T) *ast.Term {
	if t := known[text]; t != nil {
		return t
	}
	return ast.StringTerm(string(text))
}

// input writes the document that a policy sees, but for the members that no rule reads and that take time to write: claims,
// what follows from the key's text, and the request.
func (p *policy) input(t *terms, who *core.Subject, ask *core.Access) (ast.Value, error) {
	w := t.words
	subject := [][2]*ast.Term{{w.username, ast.StringTerm(who.Username)}}
	if p.reads.anyClaim() {
		claims, err := claimsTerm(who.Claims)
		if err != nil {
			return nil, err
		}
		subject = append(subject, ast.Item(w.claims, claims))
	}
	resource := [][2]*ast.Term{
		{w.kind, word(w.kinds, ask.Kind)},
		{w.exists, ast.InternedTerm(ask.Exists)},
		{w.acls, t.rules(ask.ACL)},
		{w.namespaceACLs, t.chain(ask.Chain)},
	}
	if p.reads.key {
		resource = append(resource, ast.Item(w.key, ast.StringTerm(ask.Key)), ast.Item(w.namespaces, namespacesTerm(ask.Key)))
	}
	input := [][2]*ast.Term{
		{w.subject, ast.ObjectTerm(subject...)},
		{w.action, word(w.actions, ask.Action)},
		{w.environment, ast.StringTerm(ask.Environment)},
		{w.resource, ast.ObjectTerm(resource...)},
	}
	if p.reads.request() {
		input = append(input, ast.Item(w.request, ast.ObjectTerm(
			ast.Item(w.operation, ast.StringTerm(ask.Operation)),
			ast.Item(w.changes, t.changes(ask.Changes)),
			ast.Item(w.time, ast.StringTerm(ask.Time.UTC().Format(time.RFC3339Nano))),
			ast.Item(w.address, ast.StringTerm(ask.Address)),
		)))
	}
	return ast.NewObject(input...), nil
}

func namespacesTerm(key string) *ast.Term {
	names := core.Namespaces(key)
	list := make([]*ast.Term, len(names))
	for i, name := range names {
		list[i] = ast.StringTerm(name)
	}
	return ast.ArrayTerm(list...)
}

func (t *terms) changes(set core.Changes) *ast.Term {
	var list []*ast.Term
	for i, word := range t.words.changed {
		if set&(1<<i) != 0 {
			list = append(list, word)
		}
	}
	return ast.ArrayTerm(list...)
}
