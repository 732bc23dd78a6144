package core

import (
	"context"
	"errors"
	"maps"
)

// follows is what a watcher follows, by what it follows. It is replaced, never changed.
type follows map[patternID]follow

// patternID is the same for patterns that mean the same.
type patternID struct {
	name string
	wild bool
}

func (p Pattern) id() patternID {
	if p.Below != "" {
		return patternID{p.Below, true}
	}
	return patternID{p.Exact, false}
}

// want reports whether one of the patterns, as followed at a revision, selects the key.
func (f follows) want(name string, rev Revision) bool {
	has := func(id patternID) bool {
		one, ok := f[id]
		return ok && one.since < rev
	}
	if has(patternID{name, false}) || has(patternID{RootName, true}) {
		return true
	}
	for i := 1; i < len(name); i++ {
		if separator(name[i]) && has(patternID{name[:i], true}) {
			return true
		}
	}
	return false
}

// patternSet is a set of patterns; nil is empty.
type patternSet map[patternID]bool

// deliver turns one commit into the events that the watcher may see. Patterns of which it ruled a namespace anew get none:
// they are forgotten, and begin again.
func (w *Watcher) deliver(ctx context.Context, p *published) error {
	w.mu.Lock()
	followed := w.follows
	w.mu.Unlock()
	if followed.ruledBy(w.env, p, &w.ruled); len(w.ruled) > 0 {
		followed = maps.Clone(followed)
		maps.DeleteFunc(followed, func(id patternID, _ follow) bool { return w.ruled[id] })
	}
	return w.emit(ctx, p, 0, func(name string) bool { return followed.want(name, p.revision) })
}

// ruledBy adds those of the patterns to a set that meet a namespace whose rules a commit changed.
func (f follows) ruledBy(env EnvID, p *published, into *patternSet) {
	for _, ns := range p.ruled {
		if ns.env != env {
			continue
		}
		for id, one := range f {
			if one.since < p.revision && one.meetsNamespace(ns.name) {
				if *into == nil {
					*into = patternSet{}
				}
				(*into)[id] = true
			}
		}
	}
}

// emit puts out the events of a commit's changes after the first sub, as far as they are wanted and may be seen. All but
// the last of them say that more follows.
func (w *Watcher) emit(ctx context.Context, p *published, sub int, wanted func(name string) bool) error {
	first := len(w.out)
	var subs []int
	for i := range p.changes {
		c := &p.changes[i]
		if c.env != w.env || c.sub <= sub || !wanted(c.name) {
			continue
		}
		kind, err := w.judge(ctx, p, c)
		if err != nil {
			return err
		}
		if kind == "" {
			continue
		}
		ev := Event{Kind: kind, Key: c.name, Version: c.Entry.Version, Position: w.at(p.revision)}
		if kind == EventRevoked {
			ev.Version = 0 // which version it is by now is not for them any more
		}
		w.out = append(w.out, ev)
		subs = append(subs, i)
	}
	events := w.out[first:]
	for n := range events {
		ev, c := &events[n], &p.changes[subs[n]]
		if ev.More = n < len(events)-1; ev.More {
			ev.Position.Sub = c.sub
		}
		switch ev.Kind {
		case EventUpdate, EventGranted:
			ev.Value, ev.Modified = c.Entry.Doc.Value, c.Entry.Modified
		}
		ev.shared = c.frame(ev.Kind, ev.More)
	}
	return nil
}

// judge says what a change is to this watcher, by the rules of that very commit: "" is nothing. A value is withheld, too,
// when the right was lost since: the commit that took it will say so.
func (w *Watcher) judge(ctx context.Context, p *published, c *publishedChange) (EventKind, error) {
	now, err := w.mayRead(ctx, c.name, c.acl, c.chain, !c.Entry.Deleted)
	if err != nil {
		return "", err
	}
	kind := EventUpdate
	switch {
	case c.Entry.Deleted && !now:
		return "", nil
	case c.Entry.Deleted && c.Entry.Doc.Attrs[AttrExpired] != "":
		return EventExpired, nil
	case c.Entry.Deleted:
		return EventDelete, nil
	case c.reruled():
		before, err := w.mayRead(ctx, c.name, c.wasACL, c.chain, true)
		switch {
		case err != nil || !before && !now:
			return "", err
		case before && !now:
			if _, hidden := w.hidden[c.name]; hidden {
				delete(w.hidden, c.name)
				return "", nil
			}
			return EventRevoked, nil
		case !before:
			kind = EventGranted
		}
	case !now:
		return "", nil
	}
	if p.revision < w.engine.tail.head() {
		it, chain := w.engine.index.view(w.env, KindKey, c.name)
		if it != nil && (it.rules > p.revision || chain != c.chain) {
			still, err := w.mayRead(ctx, c.name, it.acl, chain, !it.deleted)
			if err == nil && !still && (kind == EventGranted || !c.Was.Exists || c.Was.Deleted) {
				w.hide(c.name)
			}
			if err != nil || !still {
				return "", err
			}
		}
	}
	delete(w.hidden, c.name)
	return kind, nil
}

// hide notes that a key would have been shown for the first time, and was not.
func (w *Watcher) hide(name string) {
	if w.hidden == nil {
		w.hidden = map[string]struct{}{}
	}
	w.hidden[name] = struct{}{}
}

func (w *Watcher) mayRead(ctx context.Context, name string, acl *Rules, chain *Chain, exists bool) (bool, error) {
	d, err := w.ask(ctx, Access{
		Action: ActionRead, Kind: KindKey, Key: name, Exists: exists, ACL: acl, Chain: chain, Operation: "watch",
		Hides: true,
	})
	return d.Allow, err
}

// lateTries is how often a stream asks a policy that does not get to answer. Nobody holds a request open meanwhile, and what
// made it late may be that thousands of streams asked at the same time.
const lateTries = 4

// ask asks the policy for this watcher. That there is no answer in time ends the stream: nothing may go missing unseen.
func (w *Watcher) ask(ctx context.Context, ask Access) (d Decision, err error) {
	for try := range lateTries {
		d, err = w.engine.settle(ctx, &w.caller, ask)
		if !errors.Is(err, ErrUnavailable) || ctx.Err() != nil || try == lateTries-1 {
			break
		}
		if err := pause(ctx, backoff(try)); err != nil {
			return d, err
		}
	}
	return d, err
}
