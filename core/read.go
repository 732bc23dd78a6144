package core

import (
	"context"
	"errors"
	"time"
)

// Get returns one item as the caller may see it, at once or, with Read.Wait, when it is another version than Read.Since.
func (e *Engine) Get(ctx context.Context, c Caller, r Read) (Item, error) {
	env, err := e.environment(ctx, c.Environment)
	if err != nil {
		return Item{}, err
	}
	if err := checkItemName(r.Kind, r.Name); err != nil {
		return Item{}, err
	}
	if r.Min != nil {
		if err := e.Reach(ctx, *r.Min); err != nil {
			return Item{}, err
		}
	}
	if r.Strong {
		if err := e.sync(ctx); err != nil {
			return Item{}, err
		}
	}
	if r.Op == "" {
		r.Op = "get"
	}
	if r.Wait > 0 {
		return e.held(ctx, c, env, r)
	}
	return e.get(ctx, c, env, r)
}

// get reads an item as this node knows it now. Item.Stale is there beside an error, too.
func (e *Engine) get(ctx context.Context, c Caller, env EnvID, r Read) (Item, error) {
	item, stale, err := ofView(e, func() (Item, error) { return e.look(ctx, c, env, r) })
	item.Stale = stale
	return item, err
}

func (e *Engine) look(ctx context.Context, c Caller, env EnvID, r Read) (Item, error) {
	for {
		it, chain := e.index.view(env, r.Kind, r.Name)
		if !it.live(e.now()) {
			return Item{}, absent(r.Kind)
		}
		ask := Access{
			Action: ActionRead, Kind: r.Kind, Key: r.Name, Exists: true, ACL: it.acl, Chain: chain, Operation: r.Op,
		}
		var err error
		if r.denied {
			_, err = e.requireAgain(ctx, &c, ask)
		} else {
			_, err = e.require(ctx, &c, ask)
		}
		if err != nil {
			return Item{}, err
		}
		if r.Since != nil && *r.Since == it.version {
			return Item{Name: r.Name, Entry: Entry{Key: it.key, Version: it.version, Revision: it.revision}, NotModified: true}, nil
		}
		entry := e.values.cached(it)
		if entry == nil {
			found, err := e.values.fetch(ctx, []*item{it})
			if err != nil {
				return Item{}, err
			}
			entry = found[0]
		}
		if entry == nil || entry.Revision != it.revision { // the store is ahead: follow it, and ask by the rules of then
			if err := e.sync(ctx); err != nil {
				return Item{}, err
			}
			continue
		}
		item := Item{Name: r.Name, Entry: *entry}
		if r.Admin {
			ask.Action = ActionAdmin
			admin, err := e.may(ctx, &c, ask)
			if err != nil {
				return Item{}, err
			}
			item.Admin = admin
		}
		return item, nil
	}
}

// heldTick is how often a held read asks again although nothing moved: policies change, too, and tokens end.
const heldTick = time.Second

// held waits for a version other than Read.Since. A key that is absent is waited for only from version 0. It ends with the
// caller's token: what comes later is not for them.
func (e *Engine) held(ctx context.Context, c Caller, env EnvID, r Read) (Item, error) {
	until := time.NewTimer(min(r.Wait, MaxWait))
	defer until.Stop()
	ticker := time.NewTicker(heldTick)
	defer ticker.Stop()
	var since int64
	if r.Since != nil {
		since = *r.Since
	}
	key := MakeKey(env, r.Kind, r.Name)
	wasThere := false
	for over := false; ; {
		changed, ruled, release := e.tail.interest(key)
		item, err := e.get(ctx, c, env, r)
		if c.Subject.Lapsed(e.now()) {
			item, err = Item{}, Errorf(ErrUnauthenticated, "Invalid JWT")
		}
		there := err == nil
		if r.Hide && errors.Is(err, ErrForbidden) {
			r.denied, err = true, aged(absent(r.Kind), item.Stale)
		}
		switch {
		case there && !item.NotModified:
			release()
			return item, nil
		case !there && (!errors.Is(err, ErrNotFound) || since != 0 || wasThere):
			release()
			return Item{}, err
		case over:
			release()
			if there {
				return item, nil
			}
			return Item{Name: r.Name, NotModified: true, Stale: item.Stale}, nil
		}
		wasThere = there
		select {
		case <-changed:
		case <-ruled:
		case <-ticker.C:
		case <-until.C:
			over = true
		case <-ctx.Done():
		}
		release()
		if ctx.Err() != nil {
			return Item{}, ctx.Err()
		}
	}
}

// absent is the error for an item that is not there.
func absent(kind Kind) *Error {
	switch kind {
	case KindNamespace:
		return Errorf(ErrNotFound, "Namespace does not exist")
	case KindEnvironment:
		return Errorf(ErrNotFound, "Environment does not exist")
	case KindDocument:
		return Errorf(ErrNotFound, "Document does not exist")
	}
	return Errorf(ErrNotFound, "Key does not exist")
}

func checkItemName(kind Kind, name string) error {
	switch kind {
	case KindKey:
		return CheckName(name)
	case KindNamespace:
		return CheckNamespace(name)
	}
	return Errorf(ErrInvalid, "%s is not a kind that can be asked for here", kind)
}
