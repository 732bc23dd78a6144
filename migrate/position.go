package migrate

import (
	"context"
	"errors"
	"fmt"

	"github.com/dynconfig/dynconfig/core"
)

// position says which part of which commit a copy is. It is written as the copy's Meta.ID.
type position struct {
	epoch    string        // of the source
	floor    core.Revision // of the source: where the copy goes over from histories to the log
	revision core.Revision // in the source
	first    int           // the part begins with this of the commit's changes
}

func (p position) id() string {
	return fmt.Sprintf("migrate %s %d %d %d", p.epoch, p.floor, p.revision, p.first)
}

// positionOf reads an ID; the zero position if it is none of a copy.
func positionOf(id string) (p position) {
	if _, err := fmt.Sscanf(id, "migrate %s %d %d %d", &p.epoch, &p.floor, &p.revision, &p.first); err != nil || p.id() != id {
		return position{}
	}
	return p
}

// reached returns the position that the newest commit of the target stands for.
func (m *migration) reached(ctx context.Context, head core.Revision) (position, error) {
	commits, err := m.target.Log(ctx, head-1, 1)
	if errors.Is(err, core.ErrCompacted) { // a server did that
		return position{}, nil
	}
	if err != nil || len(commits) == 0 {
		return position{}, err
	}
	return positionOf(commits[0].Meta.ID), nil
}

// missing leaves out of a commit the parts that the target has already. Parts are copied in order, so that everything up
// to the last change that is there has been copied.
func (m *migration) missing(ctx context.Context, c commit) (commit, error) {
	head, err := m.target.Sync(ctx)
	if err != nil {
		return c, err
	}
	done := 0
	for from := 0; from < len(c.changes); from += core.MaxGet {
		some := c.changes[from:min(from+core.MaxGet, len(c.changes))]
		keys := make([]core.Key, len(some))
		for i, ch := range some {
			keys[i] = ch.Entry.Key
		}
		page, err := m.target.Get(ctx, keys, head)
		if err != nil {
			return c, err
		}
		held := map[core.Key]int64{}
		for _, e := range page.Entries {
			held[e.Key] = e.Version
		}
		for i, ch := range some {
			if ch.Do != core.OpPurge && held[ch.Entry.Key] >= ch.Entry.Version {
				done = from + i + 1
			}
		}
	}
	c.nothing = done == len(c.changes)
	return c.from(done), nil
}
