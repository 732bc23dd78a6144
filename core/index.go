package core

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// item is what a node knows of a key without asking the store: everything but the value, which it may have cached.
// But for that cache an item is never changed: a change of the key makes another one.
type item struct {
	key      Key
	version  int64
	revision Revision
	rules    Revision
	acl      *Rules
	ttl      time.Duration
	expires  int64 // unix microseconds; 0: never
	deleted  bool
	expired  bool // a tombstone left by expiry

	used  atomic.Bool           // since the value cache last looked
	entry atomic.Pointer[Entry] // cached, with its value
}

// AttrExpired marks a tombstone that expiry left, AttrID holds an environment's id.
const (
	AttrExpired = "expired"
	AttrID      = "id"
)

func newItem(e Entry) *item {
	it := &item{
		key: e.Key, version: e.Version, revision: e.Revision, rules: e.Rules, acl: Intern(e.Doc.ACL),
		ttl: e.Doc.TTL, deleted: e.Deleted, expired: e.Deleted && e.Doc.Attrs[AttrExpired] != "",
	}
	if !e.Doc.Expires.IsZero() {
		it.expires = e.Doc.Expires.UnixMicro()
	}
	return it
}

// live reports whether there is a value to be had at an instant.
func (it *item) live(now time.Time) bool {
	return it != nil && !it.deleted && !it.over(now)
}

// over reports whether the item's time has passed.
func (it *item) over(now time.Time) bool { return it.expires != 0 && it.expires <= now.UnixMicro() }

// name is the item's name within its kind.
func (it *item) name() string {
	_, _, name, _ := it.key.Split()
	return name
}

// space is what the index knows of one namespace: its record or tombstone, and the chain of what lies in it.
type space struct {
	item  *item
	chain *Chain // of the records from the root down to this one
}

// index holds every key of a store without its value, as of a revision.
type index struct {
	mu       sync.RWMutex
	revision Revision // the newest commit that it shows, once it is loaded
	byKey    map[Key]*item
	order    ordered
	spaces   map[EnvID]map[string]*space
	envs     map[string]EnvID // by name; only those that exist
	dead     int              // tombstones
	purged   map[EnvID]Revision
	policy   Revision    // the newest commit that changed the policy in force
	timed    func(*item) // told of every item that expires
}

func newIndex(timed func(*item)) *index {
	return &index{
		byKey: map[Key]*item{}, spaces: map[EnvID]map[string]*space{}, envs: map[string]EnvID{"default": DefaultEnv},
		purged: map[EnvID]Revision{}, timed: timed,
	}
}

// get returns the item of a key, its tombstone, or nil. It does not allocate.
func (x *index) get(env EnvID, kind Kind, name string) *item {
	var buf [MaxName + 64]byte
	key := append(buf[:0], env...)
	key = append(key, '/', kindLetters[kind], '/')
	key = append(key, name...)
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.byKey[Key(key)]
}

// at returns the item of a composed key.
func (x *index) at(key Key) *item {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.byKey[key]
}

// view returns the item of a key and the chain of its namespaces, both at one revision.
func (x *index) view(env EnvID, kind Kind, name string) (*item, *Chain) {
	var buf [MaxName + 64]byte
	key := append(buf[:0], env...)
	key = append(key, '/', kindLetters[kind], '/')
	key = append(key, name...)
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.byKey[Key(key)], x.chain(env, kind, name)
}

// chainOf returns the chain of an item's namespaces.
func (x *index) chainOf(env EnvID, kind Kind, name string) *Chain {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.chain(env, kind, name)
}

func (x *index) chain(env EnvID, kind Kind, name string) *Chain {
	spaces := x.spaces[env]
	if len(spaces) == 0 || kind == KindNamespace && name == RootName {
		return nil
	}
	for i := len(name) - 1; i > 0; i-- {
		if separator(name[i]) {
			if s := spaces[name[:i]]; s != nil && s.item.acl != nil && !s.item.deleted {
				return s.chain
			}
		}
	}
	if root := spaces[RootName]; root != nil {
		return root.chain
	}
	return nil
}

// rulesOf returns the revision that last ruled each namespace around name, the root included, as checks.
func (x *index) rulesOf(env EnvID, name string) []Check {
	var checks []Check
	add := func(ns string) {
		var rules Revision
		if s := x.spaces[env][ns]; s != nil {
			rules = s.item.rules
		}
		checks = append(checks, Check{Key: MakeKey(env, KindNamespace, ns), Rules: &rules})
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	if name != RootName {
		add(RootName)
	}
	for _, ns := range Namespaces(name) {
		add(ns)
	}
	return checks
}

// many returns the items of keys, nil for those without, and the revision at which they are.
func (x *index) many(keys []Key) ([]*item, Revision) {
	items := make([]*item, len(keys))
	x.mu.RLock()
	defer x.mu.RUnlock()
	for i, k := range keys {
		items[i] = x.byKey[k]
	}
	return items, x.revision
}

// page returns the items, tombstones included, of up to limit keys of a range.
func (x *index) page(from, to Key, limit int) []*item {
	items := make([]*item, 0, min(limit, 256))
	x.mu.RLock()
	defer x.mu.RUnlock()
	x.order.ascend(from, to, func(it *item) bool {
		items = append(items, it)
		return len(items) < limit
	})
	return items
}

// environment returns the id of an environment that exists.
func (x *index) environment(name string) (EnvID, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	id, ok := x.envs[name]
	return id, ok
}

// environmentName returns the name of an environment that exists, "" for none.
func (x *index) environmentName(id EnvID) string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for name, env := range x.envs {
		if env == id {
			return name
		}
	}
	return ""
}

// ruledSince reports whether a namespace that meets one of the patterns was ruled anew, a key was purged, or the policy
// became another after a revision: then single changes no longer tell what a watcher may see.
func (x *index) ruledSince(env EnvID, patterns []Pattern, after Revision) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.purged[env] > after || x.policy > after {
		return true
	}
	for ns, s := range x.spaces[env] {
		if s.item.rules <= after {
			continue
		}
		for _, p := range patterns {
			if p.meetsNamespace(ns) {
				return true
			}
		}
	}
	return false
}

// counts returns how many live keys and tombstones there are.
func (x *index) counts() (live, dead int) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.order.n - x.dead, x.dead
}

// apply takes a commit in, whole. It returns the items of its changes and the namespaces whose rules became others.
func (x *index) apply(c Commit) (items []*item, ruled []ruledSpace) {
	items = make([]*item, len(c.Changes))
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range c.Changes {
		it, ns := x.change(&c.Changes[i])
		if items[i] = it; ns != "" {
			env, _, _, _ := it.key.Split()
			ruled = append(ruled, ruledSpace{env, ns})
		}
	}
	x.revision = c.Revision
	return items, ruled
}

// load takes present entries in. What the index shows already is passed over, so that loading may overlap with the log.
func (x *index) load(entries []Entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range entries {
		x.change(&Change{Do: OpPut, Entry: entries[i]})
	}
}

// change takes one change in. It returns the key's item after it and, if a namespace's rules changed by it, that name.
func (x *index) change(c *Change) (*item, string) {
	old := x.byKey[c.Entry.Key]
	if old != nil && old.revision >= c.Entry.Revision {
		return old, ""
	}
	it := newItem(c.Entry)
	if old != nil {
		it.key = old.key
		old.forget()
	}
	x.dead += btoi(it.deleted) - btoi(old != nil && old.deleted)
	env, kind, name, _ := it.key.Split()
	if c.Do == OpPurge {
		delete(x.byKey, it.key)
		x.order.remove(it.key)
		x.dead--
		if kind != KindIdempotency {
			x.purged[env] = c.Entry.Revision
		}
	} else {
		x.byKey[it.key] = it
		x.order.set(it)
		if it.expires != 0 && x.timed != nil {
			x.timed(it)
		}
	}
	ruled := ""
	switch kind {
	case KindNamespace:
		if it.rules == it.revision {
			ruled = name
		}
		x.setSpace(env, name, it)
	case KindPolicy:
		if name == PolicyInForce { // a set may be stored that decides nothing, or as the one before
			x.policy = max(x.policy, it.revision)
		}
	case KindEnvironment:
		if it.deleted {
			delete(x.envs, name)
		} else {
			x.envs[name] = EnvID(c.Entry.Doc.Attrs[AttrID])
		}
	}
	return it, ruled
}

// setSpace notes a namespace's record and links the chains of all that lies below anew.
func (x *index) setSpace(env EnvID, name string, it *item) {
	spaces := x.spaces[env]
	if spaces == nil {
		spaces = map[string]*space{}
		x.spaces[env] = spaces
	}
	old := spaces[name]
	spaces[name] = &space{item: it}
	if old != nil && old.item.acl == it.acl && old.item.deleted == it.deleted {
		spaces[name].chain = old.chain
		return
	}
	x.relink(env, name)
}

// relink computes the chains of a namespace and of those below it, the outer ones first.
func (x *index) relink(env EnvID, name string) {
	spaces := x.spaces[env]
	inside := Pattern{Below: name}
	var names []string
	for ns := range spaces {
		if ns == name || inside.Match(ns) {
			names = append(names, ns)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if (a == RootName) != (b == RootName) {
			return btoi(b == RootName) - btoi(a == RootName)
		}
		return len(a) - len(b)
	})
	for _, ns := range names {
		s := spaces[ns]
		var links []Link
		if outer := x.chain(env, KindNamespace, ns); outer != nil {
			links = append(links, outer.Links...)
		}
		if s.item.acl != nil && !s.item.deleted {
			links = append(links, Link{Namespace: ns, Rules: s.item.acl})
		}
		s.chain = InternChain(links)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// become takes over what another index holds.
func (x *index) become(other *index) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.byKey, x.order, x.spaces, x.envs = other.byKey, other.order, other.spaces, other.envs
	x.dead, x.purged, x.policy, x.revision = other.dead, other.purged, other.policy, other.revision
}
