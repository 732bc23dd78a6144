package memory

import (
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// recent knows the commits of the last core.KeepIDs by their Meta.ID, whether they are still in the log or not.
type recent struct {
	byID  map[string]*core.Commit
	order []remembered // oldest first
}

type remembered struct {
	id string
	at time.Time
}

func (r *recent) add(c *core.Commit, now time.Time) {
	if c.Meta.ID != "" {
		r.byID[c.Meta.ID] = c
		r.order = append(r.order, remembered{id: c.Meta.ID, at: now})
	}
}

func (r *recent) forget(before time.Time) {
	for len(r.order) > 0 && r.order[0].at.Before(before) {
		delete(r.byID, r.order[0].id)
		r.order = r.order[1:]
	}
}
