package core

import (
	"context"
	"slices"
	"sync/atomic"
	"time"
)

// Bounds of the work that one list does: how many items it looks at for a page and for the total, and the bytes of a page.
const (
	scanForPage  = 20_000
	scanForTotal = 200_000
	scanStep     = 1000
)

// decideFor is how long a list asks the policy for its page and total, and as long again for the values. What is not decided
// by then is left to the next page: a slow policy would else hold a core for minutes, for whoever wants a list.
const decideFor = 2 * time.Second

// patience returns what becomes true after decideFor. It is a timer that sets it, so that no clock is read for every item.
func patience() (over *atomic.Bool, stop func() bool) {
	over = new(atomic.Bool)
	return over, time.AfterFunc(decideFor, func() { over.Store(true) }).Stop
}

// List returns a page of the items that the caller may see.
func (e *Engine) List(ctx context.Context, c Caller, f Filter) (Listing, error) {
	env, err := e.environment(ctx, c.Environment)
	if err != nil {
		return Listing{}, err
	}
	if f, err = f.checked(&c); err != nil {
		return Listing{}, err
	}
	l, stale, err := ofView(e, func() (Listing, error) { return e.list(ctx, c, env, f) })
	l.Stale = stale
	return l, err
}

func (e *Engine) list(ctx context.Context, c Caller, env EnvID, f Filter) (Listing, error) {
	if _, err := e.require(ctx, &c, Access{
		Action: ActionList, Kind: f.Kind, Key: f.Namespace, Exists: true, Operation: "list",
		Chain: e.index.chainOf(env, f.Kind, f.Namespace),
	}); err != nil {
		return Listing{}, err
	}
	l := Listing{Names: []string{}, Position: e.Head()}
	over, stop := patience()
	defer stop()
	shown, seen, err := e.page(ctx, &c, env, f, over, &l)
	if err != nil {
		return Listing{}, err
	}
	if err := e.count(ctx, &c, env, f, seen, over, &l); err != nil {
		return Listing{}, err
	}
	if f.as != nil && !l.administered && !over.Load() { // when it is over, there may be some that were not asked about
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

// seen is a range of keys that have been looked at, and how many of their items belong into the list.
type seen struct {
	span
	shown, items int
}

// page fills l.Names from f.After on and returns their items. It may stop early, with l.Next set, but not before one item is
// decided.
func (e *Engine) page(ctx context.Context, c *Caller, env EnvID, f Filter, over *atomic.Bool, l *Listing) ([]*item, seen, error) {
	s := f.span(env)
	if f.After != "" {
		s.from = max(s.from, MakeKey(env, f.Kind, f.After)+"\x00")
	}
	looked := seen{span: s}
	var shown []*item
	items, last, err := e.scan(s, scanForPage, func(at candidate, now time.Time) (bool, error) {
		ok, err := e.listed(ctx, c, f, at, now, l)
		if !ok || err != nil {
			return !over.Load(), err
		}
		if looked.shown++; len(shown) == f.Limit {
			return false, nil
		}
		shown = append(shown, at.item)
		l.Names = append(l.Names, at.name)
		return !over.Load(), nil
	})
	if err != nil {
		return nil, seen{}, err
	}
	looked.items = items
	switch {
	case looked.shown > len(shown):
		l.Next = l.Names[len(l.Names)-1]
	case last != "":
		_, _, l.Next, _ = last.Split()
	}
	if last != "" {
		looked.to = last + "\x00"
	}
	return shown, looked, nil
}

// scan visits the items of a range, as many as most and a few more, until visit returns false. It returns how many these were,
// and the last of them if there may be more.
func (e *Engine) scan(s span, most int, visit func(at candidate, now time.Time) (bool, error)) (items int, last Key, err error) {
	step := make([]candidate, 0, scanStep)
	for {
		step = e.index.candidates(s, step[:0])
		now := e.now()
		for _, at := range step {
			items++
			if more, err := visit(at, now); err != nil || !more {
				return items, at.item.key, err
			}
		}
		if len(step) < scanStep {
			return items, "", nil
		}
		last = step[len(step)-1].item.key
		if items >= most {
			return items, last, nil
		}
		s.from = last + "\x00"
	}
}

// listed reports whether an item belongs into a list. What another principal may see is told to the item's admins alone.
func (e *Engine) listed(ctx context.Context, c *Caller, f Filter, at candidate, now time.Time, l *Listing) (bool, error) {
	if !at.item.live(now) {
		return false, nil
	}
	ask := Access{
		Action: f.Access, Kind: f.Kind, Key: at.name, Exists: true, ACL: at.item.acl, Chain: at.chain, Operation: "list", Time: now,
	}
	if f.as != nil {
		admin := ask
		admin.Action = ActionAdmin
		if ok, err := e.may(ctx, c, admin); err != nil || !ok {
			return false, err
		}
		c, l.administered = f.as, true
	}
	return e.may(ctx, c, ask)
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

// count fills l.Total. What the page has looked at is not looked at again.
func (e *Engine) count(ctx context.Context, c *Caller, env EnvID, f Filter, page seen, over *atomic.Bool, l *Listing) error {
	s, left := f.span(env), scanForTotal-page.items
	l.Total = page.shown
	for _, rest := range []span{{s.from, min(page.from, s.to)}, {page.to, s.to}} {
		if rest.from >= rest.to || l.Total > MaxCounted {
			continue
		}
		if over.Load() {
			l.LowerBound = true
			break
		}
		items, last, err := e.scan(rest, left, func(at candidate, now time.Time) (bool, error) {
			ok, err := e.listed(ctx, c, f, at, now, l)
			l.Total += btoi(ok)
			return l.Total <= MaxCounted && !over.Load(), err
		})
		if err != nil {
			return err
		}
		if left -= items; last != "" {
			l.LowerBound = true
			break
		}
	}
	if l.Total > MaxCounted {
		l.Total, l.LowerBound = MaxCounted, true
	}
	return nil
}

// withValues adds the values that the caller may read, up to PageBytes; what does not fit is left to the next page.
func (e *Engine) withValues(ctx context.Context, c Caller, shown []*item, l *Listing) error {
	l.Items = []Item{}
	over, stop := patience()
	defer stop()
	size, decided := 0, false
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
			if decided && over.Load() {
				l.cutBefore(name)
				return nil
			}
			env, kind, _, _ := entry.Key.Split()
			ok, err := e.may(ctx, &c, Access{
				Action: ActionRead, Kind: kind, Key: name, Exists: true, ACL: Intern(entry.Doc.ACL),
				Chain: e.index.chainOf(env, kind, name), Operation: "list",
			})
			if err != nil {
				return err
			}
			if decided = true; !ok {
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
	l, stale, err := ofView(e, func() (Listing, error) { return e.many(ctx, c, env, kind, slices.Compact(keys)) })
	l.Stale = stale
	return l, err
}

func (e *Engine) many(ctx context.Context, c Caller, env EnvID, kind Kind, keys []Key) (Listing, error) {
	epoch := e.Epoch()
	entries, at, err := e.entries(ctx, keys)
	if err != nil {
		return Listing{}, err
	}
	l := Listing{Names: []string{}, Items: []Item{}, Position: Position{Epoch: epoch, Revision: at}}
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
