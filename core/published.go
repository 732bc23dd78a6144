package core

import "sync/atomic"

// published is a commit as watchers see it: the changes of keys, with the rules that held at that very commit. It is
// shared by all of them.
type published struct {
	revision Revision
	changes  []publishedChange
	ruled    []ruledSpace // namespaces whose rules changed
	bytes    int
}

type ruledSpace struct {
	env  EnvID
	name string
}

type publishedChange struct {
	Change
	env    EnvID
	name   string
	sub    int // its place among all changes of the commit, from 1
	acl    *Rules
	wasACL *Rules
	chain  *Chain

	frames [2 * len(frameKinds)]atomic.Pointer[frame]
}

// frameKinds are the kinds of event that one change may be to different watchers.
var frameKinds = [...]EventKind{EventUpdate, EventGranted, EventRevoked, EventDelete, EventExpired}

// frame returns the shared place for the encoding of this change as a kind of event.
func (c *publishedChange) frame(kind EventKind, more bool) *frame {
	slot := 2*kindSlot(kind) + btoi(more)
	if f := c.frames[slot].Load(); f != nil {
		return f
	}
	c.frames[slot].CompareAndSwap(nil, &frame{})
	return c.frames[slot].Load()
}

func kindSlot(kind EventKind) int {
	for i, k := range frameKinds {
		if k == kind {
			return i
		}
	}
	panic("no change is a " + string(kind))
}

// reruled reports whether a live key got another ACL by this change.
func (c *publishedChange) reruled() bool {
	return c.Was.Exists && !c.Was.Deleted && !c.Entry.Deleted && c.acl != c.wasACL
}

// publish prepares a commit for watchers; the index must show it.
func publish(x *index, c Commit) *published {
	p := &published{revision: c.Revision, bytes: 256}
	for i := range c.Changes {
		ch := &c.Changes[i]
		env, kind, name, ok := ch.Entry.Key.Split()
		if !ok || kind != KindKey {
			continue
		}
		if p.changes == nil {
			p.changes = make([]publishedChange, 0, len(c.Changes)-i)
		}
		p.changes = append(p.changes, publishedChange{
			Change: *ch, env: env, name: name, sub: i + 1,
			acl: Intern(ch.Entry.Doc.ACL), wasACL: Intern(ch.Was.ACL), chain: x.chainOf(env, kind, name),
		})
		p.bytes += 512 + len(ch.Entry.Doc.Value) + len(ch.Entry.Key)
	}
	return p
}
