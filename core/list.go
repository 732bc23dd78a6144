package core

import (
	"context"
	"slices"
)

// Bounds of the work that one list does: how many items it looks at for a page and for the total, and the bytes of a page.
const (
	scanForPage  = 20_000
	scanForTotal = 200_000
	scanStep     = 1000
)

// List returns a page of the items that the caller may see.
func (e *Engine) List(ctx context.Context, c Caller, f Filter) (Listing, error) {
	env, err := e.environment(ctx, c.Environment)
	if err != nil {
		return Listing{}, err
	}
	if f, err = f.checked(&c); err != nil {
		return Listing{}, err
	}
	if _, err := e.require(ctx, &c, Access{
		Action: ActionList, Kind: f.Kind, Key: f.Namespace, Exists: true, Operation: "list",
		Chain: e.index.chainOf(env, f.Kind, f.Namespace),
	}); err != nil {
		return Listing{}, err
	}
	l := Listing{Names: []string{}, Position: e.Head()}
	if l.Stale, err = e.stale(); err != nil {
		return Listing{}, err
	}
	shown, err := e.page(ctx, c, env, f, &l)
	if err != nil {
		return Listing{}, err
	}
	if err := e.count(ctx, c, env, f, &l); err != nil {
		return Listing{}, err
	}
	if f.as != nil && !l.administered {
		if err := e.administersNone(ctx, &c, env, f); err != nil {
			return Listing{}, err
		}
	}
	if !f.Values {
		return l, nil
	}
	return l, e.withValues(ctx, c, shown, &l)
}

func (f Filter) checked(c *Caller) (Filter, error) {
	if f.Namespace == "" {
		f.Namespace = RootName
	}
	if err := CheckNamespace(f.Namespace); err != nil {
		return f, err
	}
	switch {
	case f.Limit == 0:
		f.Limit = DefaultLimit
	case f.Limit < 1 || f.Limit > MaxLimit:
		return f, Errorf(ErrMalformed, "limit is 1 to %d", MaxLimit)
	}
	switch f.Access {
	case "":
		f.Access = ActionRead
	case ActionRead, ActionWrite:
	default:
		return f, Errorf(ErrMalformed, "access is read or write")
	}
	if f.Principal != "" && f.Principal != c.Subject.name() {
		if err := CheckUsername(f.Principal); err != nil {
			return f, err
		}
		f.as = &Caller{Subject: &Subject{Username: f.Principal}, Environment: c.Environment, RequestID: c.RequestID, supposed: true}
	}
	return f, nil
}

// span returns the range of keys that the filter selects.
func (f Filter) span(env EnvID) span {
	s := span{from: MakeKey(env, f.Kind, "")}
	s.to = Key(prefixEnd(string(s.from)))
	if f.Namespace != RootName {
		from, to := (Pattern{Below: f.Namespace}).span()
		s.from, s.to = MakeKey(env, f.Kind, from), MakeKey(env, f.Kind, to)
	}
	return s
}

// page fills l.Names from f.After on and returns their items. It may stop early, with l.Next set.
func (e *Engine) page(ctx context.Context, c Caller, env EnvID, f Filter, l *Listing) ([]*item, error) {
	s := f.span(env)
	if f.After != "" {
		s.from = max(s.from, MakeKey(env, f.Kind, f.After)+"\x00")
	}
	var shown []*item
	for scanned := 0; ; {
		items := e.index.page(s.from, s.to, scanStep)
		for _, it := range items {
			ok, err := e.listed(ctx, &c, f, env, it, l)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			if len(shown) == f.Limit {
				l.Next = shown[len(shown)-1].name()
				return shown, nil
			}
			shown = append(shown, it)
			l.Names = append(l.Names, it.name())
		}
		if len(items) < scanStep {
			return shown, nil
		}
		last := items[len(items)-1]
		if scanned += len(items); scanned >= scanForPage {
			l.Next = last.name()
			return shown, nil
		}
		s.from = last.key + "\x00"
	}
}

// listed reports whether an item belongs into a list. What another principal may see is told to the item's admins alone.
func (e *Engine) listed(ctx context.Context, c *Caller, f Filter, env EnvID, it *item, l *Listing) (bool, error) {
	if !it.live(e.now()) {
		return false, nil
	}
	if f.as != nil {
		admin, err := e.may(ctx, c, e.listAccess(ActionAdmin, env, it))
		if err != nil || !admin {
			return false, err
		}
		c, l.administered = f.as, true
	}
	return e.may(ctx, c, e.listAccess(f.Access, env, it))
}

// administersNone is the end of a question about another principal by a caller who administers none of the items: an empty
// list for those who administer the namespace, else a denial.
func (e *Engine) administersNone(ctx context.Context, c *Caller, env EnvID, f Filter) error {
	ask := Access{Action: ActionAdmin, Kind: KindNamespace, Key: f.Namespace, Operation: "list", Chain: e.index.chainOf(env, KindNamespace, f.Namespace)}
	if it := e.index.get(env, KindNamespace, f.Namespace); it.live(e.now()) {
		ask.Exists, ask.ACL = true, it.acl
	}
	_, err := e.require(ctx, c, ask)
	return err
}

func (e *Engine) listAccess(action Action, env EnvID, it *item) Access {
	_, kind, name, _ := it.key.Split()
	return Access{
		Action: action, Kind: kind, Key: name, Exists: true, ACL: it.acl,
		Chain: e.index.chainOf(env, kind, name), Operation: "list",
	}
}

// count fills l.Total.
func (e *Engine) count(ctx context.Context, c Caller, env EnvID, f Filter, l *Listing) error {
	s := f.span(env)
	for scanned := 0; ; {
		items := e.index.page(s.from, s.to, scanStep)
		for _, it := range items {
			ok, err := e.listed(ctx, &c, f, env, it, l)
			if err != nil {
				return err
			}
			if ok && l.Total == MaxCounted {
				l.LowerBound = true
				return nil
			}
			l.Total += btoi(ok)
		}
		if len(items) < scanStep {
			return nil
		}
		if scanned += len(items); scanned >= scanForTotal {
			l.LowerBound = true
			return nil
		}
		s.from = items[len(items)-1].key + "\x00"
	}
}

// withValues adds the values that the caller may read, up to PageBytes; what does not fit is left to the next page.
func (e *Engine) withValues(ctx context.Context, c Caller, shown []*item, l *Listing) error {
	l.Items = []Item{}
	size := 0
	for batch := range slices.Chunk(shown, fetchBatch) {
		entries, err := e.values.fetch(ctx, batch)
		if err != nil {
			return err
		}
		for i, entry := range entries {
			name := batch[i].name()
			if entry == nil || entry.Deleted {
				l.drop(name)
				continue
			}
			env, kind, _, _ := entry.Key.Split()
			ok, err := e.may(ctx, &c, Access{
				Action: ActionRead, Kind: kind, Key: name, Exists: true, ACL: Intern(entry.Doc.ACL),
				Chain: e.index.chainOf(env, kind, name), Operation: "list",
			})
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if size += len(entry.Doc.Value); size > PageBytes && len(l.Items) > 0 {
				l.cutBefore(name)
				return nil
			}
			l.Items = append(l.Items, Item{Name: name, Entry: *entry})
		}
	}
	return nil
}

// drop takes out a name that has gone since the page was made.
func (l *Listing) drop(name string) {
	if i := slices.Index(l.Names, name); i >= 0 {
		l.Names = slices.Delete(l.Names, i, i+1)
		l.Total--
	}
}

// cutBefore ends the page before a name.
func (l *Listing) cutBefore(name string) {
	if i := slices.Index(l.Names, name); i > 0 {
		l.Names, l.Next = l.Names[:i], l.Names[i-1]
	}
}

// GetMany returns exact keys, all at one revision: those that exist and that the caller may read.
func (e *Engine) GetMany(ctx context.Context, c Caller, kind Kind, names []string) (Listing, error) {
	env, err := e.environment(ctx, c.Environment)
	if err != nil {
		return Listing{}, err
	}
	if len(names) > MaxKeys {
		return Listing{}, Errorf(ErrMalformed, "at most %d keys in one request", MaxKeys)
	}
	keys := make([]Key, len(names))
	for i, name := range names {
		if err := checkItemName(kind, name); err != nil {
			return Listing{}, err
		}
		keys[i] = MakeKey(env, kind, name)
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	entries, at, err := e.entries(ctx, keys)
	if err != nil {
		return Listing{}, err
	}
	l := Listing{Names: []string{}, Items: []Item{}, Position: Position{Epoch: e.Epoch(), Revision: at}}
	if l.Stale, err = e.stale(); err != nil {
		return Listing{}, err
	}
	size := 0
	for _, entry := range entries {
		_, _, name, _ := entry.Key.Split()
		ok, err := e.may(ctx, &c, Access{
			Action: ActionRead, Kind: kind, Key: name, Exists: true, ACL: Intern(entry.Doc.ACL),
			Chain: e.index.chainOf(env, kind, name), Operation: "get",
		})
		if err != nil {
			return Listing{}, err
		}
		if !ok {
			continue
		}
		if size += len(entry.Doc.Value); size > PageBytes && len(l.Items) > 0 {
			return Listing{}, Errorf(ErrTooLarge, "The values of these keys are more than 4 MiB together; ask for fewer")
		}
		l.Names = append(l.Names, name)
		l.Items = append(l.Items, Item{Name: name, Entry: *entry})
	}
	l.Total = len(l.Names)
	return l, nil
}

// entries returns the live entries of keys, all at one revision.
func (e *Engine) entries(ctx context.Context, keys []Key) ([]*Entry, Revision, error) {
	for {
		items, at := e.index.many(keys)
		now := e.now()
		items = slices.DeleteFunc(items, func(it *item) bool { return !it.live(now) })
		entries, err := e.values.fetch(ctx, items)
		if err != nil {
			return nil, 0, err
		}
		moved := false
		for i, entry := range entries {
			moved = moved || entry == nil || entry.Revision != items[i].revision
		}
		if !moved {
			return entries, at, nil
		}
		if err := e.sync(ctx); err != nil { // the store is ahead of this node: follow it
			return nil, 0, err
		}
	}
}
