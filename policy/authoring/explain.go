package authoring

import (
	"context"
	"errors"
	"slices"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// Operations by which a policy is asked about others, as it sees them.
const (
	operationExplain = "explain"
	operationWhoCan  = "who-can"
)

// Explain says what the policy in force decides, by which rule and line, and why. About oneself everyone may ask; about others,
// or oneself with other claims, an admin of the item. Who does not administer it is not shown whom else its lists name.
func (m *Manager) Explain(ctx context.Context, c core.Caller, q wire.Question) (wire.Explanation, error) {
	none := wire.Explanation{}
	ask, err := m.question(ctx, &c, q)
	if err != nil {
		return none, err
	}
	admin, err := m.administer(ctx, c, ask)
	if err != nil {
		return none, err
	}
	who, full := c.Subject, true
	if s := q.Subject; s == nil || s.Username == who.Username && s.Claims == nil {
		if full, err = m.may(ctx, who, admin); err != nil {
			return none, err
		}
	} else {
		admin.Operation = operationExplain
		if _, err := m.engine.Require(ctx, c, admin); err != nil {
			return none, err
		}
		who = &core.Subject{Username: s.Username, Claims: s.Claims}
	}
	return m.authorizer.Explain(ctx, who, ask, full)
}

// WhoCan lists whom the policy in force allows something, for admins of the item.
func (m *Manager) WhoCan(ctx context.Context, c core.Caller, q wire.Question) (wire.WhoCan, error) {
	q.Subject = nil
	ask, err := m.question(ctx, &c, q)
	if err != nil {
		return wire.WhoCan{}, err
	}
	admin, err := m.administer(ctx, c, ask)
	if err != nil {
		return wire.WhoCan{}, err
	}
	admin.Operation = operationWhoCan
	if _, err := m.engine.Require(ctx, c, admin); err != nil {
		return wire.WhoCan{}, err
	}
	return m.authorizer.WhoCan(ctx, ask)
}

// question checks what is asked and returns what the policy is asked about it, as it is now: as if the item were not there
// where the caller is not to learn that it is. It puts the environment that it is about into the caller.
func (m *Manager) question(ctx context.Context, c *core.Caller, q wire.Question) (core.Access, error) {
	none := core.Access{}
	if c.Subject == nil {
		return none, core.Errorf(core.ErrUnauthenticated, "Invalid JWT")
	}
	action, kind, name, err := checked(q)
	if err != nil {
		return none, err
	}
	if q.Environment != "" {
		c.Environment = q.Environment
	}
	switch kind {
	case core.KindPolicy:
		name = core.PolicySet
	case core.KindEnvironment:
		if name == "" {
			name = c.Environment
		}
	}
	operation, changes := usual(action, kind)
	ask, err := m.engine.Question(ctx, *c, action, kind, name, operation)
	if err != nil {
		return none, err
	}
	ask.Changes = changes
	if m.hideDenied && hides(ask) {
		read := ask
		read.Action, read.Operation, read.Changes = core.ActionRead, "get", 0
		if seen, err := m.may(ctx, c.Subject, read); err != nil {
			return none, err
		} else if !seen {
			ask.Exists, ask.ACL = false, nil
		}
	}
	return ask, nil
}

// may asks the policy on a caller's behalf, without a record that he did something.
func (m *Manager) may(ctx context.Context, who *core.Subject, ask core.Access) (bool, error) {
	ask.Supposed = true
	d, err := m.authorizer.Authorize(ctx, who, ask)
	return d.Allow, err
}

// hides reports whether what is asked tells if an item is there.
func hides(ask core.Access) bool {
	switch ask.Kind {
	case core.KindKey, core.KindDocument, core.KindNamespace, core.KindAudit:
		return ask.Action != core.ActionList && ask.Action != core.ActionWatch
	}
	return false
}

// administer is the question whether a caller administers the item that is asked about: of a list, or a pattern to watch, the
// namespace.
func (m *Manager) administer(ctx context.Context, c core.Caller, ask core.Access) (core.Access, error) {
	if ask.Action == core.ActionList || ask.Action == core.ActionWatch {
		switch p, err := core.ParsePattern(ask.Key); {
		case ask.Kind == core.KindPolicy, ask.Kind == core.KindEnvironment, ask.Kind == core.KindAudit && ask.Key == "":
		case ask.Action == core.ActionList || ask.Kind != core.KindKey:
			return m.engine.Question(ctx, c, core.ActionAdmin, core.KindNamespace, ask.Key, operationExplain)
		case err != nil:
			return core.Access{}, err
		case p.Exact != "":
			return m.engine.Question(ctx, c, core.ActionAdmin, core.KindKey, p.Exact, operationExplain)
		default:
			return m.engine.Question(ctx, c, core.ActionAdmin, core.KindNamespace, p.Below, operationExplain)
		}
	}
	ask.Action, ask.Changes = core.ActionAdmin, 0
	return ask, nil
}

// usual is how an action is mostly come by: what else a policy sees of the request.
func usual(action core.Action, kind core.Kind) (operation string, changes core.Changes) {
	item := kind == core.KindKey || kind == core.KindDocument
	switch action {
	case core.ActionList, core.ActionWatch, core.ActionDelete:
		return string(action), 0
	case core.ActionCreate, core.ActionWrite:
		if item {
			changes = core.ChangesValue
		}
		return "put", changes
	case core.ActionAdmin:
		if item || kind == core.KindNamespace {
			changes = core.ChangesACLs
		}
		return "put", changes
	}
	return "get", 0
}

// checked reads a question.
func checked(q wire.Question) (core.Action, core.Kind, string, error) {
	action, kind := core.Action(q.Action), core.Kind(q.Kind)
	if kind == "" {
		kind = core.KindKey
	}
	switch {
	case !slices.Contains(actions(), action):
		return "", "", "", unknown("action", q.Action)
	case !slices.Contains(kinds(), kind):
		return "", "", "", unknown("kind", q.Kind)
	}
	if q.Subject != nil {
		if why := (*core.Error)(nil); errors.As(core.CheckUsername(q.Subject.Username), &why) {
			return "", "", "", &core.Error{Kind: why.Kind, Detail: why.Detail, Fields: []core.FieldError{{Path: "subject.username", Reason: why.Fields[0].Reason}}}
		}
	}
	err := checkName(action, kind, q.Key)
	return action, kind, q.Key, err
}

func checkName(action core.Action, kind core.Kind, name string) error {
	switch kind {
	case core.KindPolicy:
		return nil
	case core.KindEnvironment:
		if name == "" {
			return nil
		}
		return core.CheckEnvironment(name)
	case core.KindAudit:
		if name == "" {
			return nil
		}
	}
	switch {
	case action == core.ActionList, action == core.ActionWatch && kind != core.KindKey, kind == core.KindNamespace:
		return core.CheckNamespace(name)
	case action == core.ActionWatch:
		_, err := core.ParsePattern(name)
		return err
	}
	return core.CheckName(name)
}

func actions() []core.Action {
	return []core.Action{
		core.ActionRead, core.ActionList, core.ActionWatch, core.ActionCreate, core.ActionWrite, core.ActionDelete, core.ActionAdmin,
	}
}

func kinds() []core.Kind {
	return []core.Kind{core.KindKey, core.KindDocument, core.KindNamespace, core.KindEnvironment, core.KindPolicy, core.KindAudit}
}

func unknown(member, word string) error {
	return &core.Error{
		Kind: core.ErrInvalid, Detail: "There is no " + member + " " + word + " to ask for",
		Fields: []core.FieldError{{Path: member, Reason: "is none that can be asked for"}},
	}
}
