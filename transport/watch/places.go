package watch

import "github.com/dynconfig/dynconfig/core"

// place is what an open watch takes up: one of MaxConnections or, until its token has come, one of the few for strangers.
// Without places of their own, anyone could keep every watcher out by connecting and saying nothing. It is under Handler.mu.
type place struct {
	stranger bool
	left     bool // given back
}

// minStrangers is how many connections may wait for their token at one time, however small MaxConnections is.
const minStrangers = 16

// enter takes a place.
func (h *Handler) enter(stranger bool) (*place, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := &place{stranger: stranger}
	if h.closing || *h.taken(p) >= h.most(p) {
		return nil, errFull(p)
	}
	*h.taken(p)++
	h.wg.Add(1)
	return p, nil
}

// identify changes a stranger's place for one of MaxConnections. One that is given back already stays so.
func (h *Handler) identify(p *place) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.left || !p.stranger {
		return nil
	}
	if to := (&place{}); *h.taken(to) >= h.most(to) {
		return errFull(to)
	}
	*h.taken(p)--
	p.stranger = false
	*h.taken(p)++
	return nil
}

// leave gives the place of a session back, nil for one that was never added.
func (h *Handler) leave(p *place, s session) {
	h.mu.Lock()
	if s != nil {
		delete(h.sessions, s)
	}
	*h.taken(p)--
	p.left = true
	h.mu.Unlock()
	h.wg.Done()
}

// taken is the count of places of one kind, and most its bound.
func (h *Handler) taken(p *place) *int {
	if p.stranger {
		return &h.strangers
	}
	return &h.watchers
}

func (h *Handler) most(p *place) int {
	if p.stranger {
		return max(minStrangers, h.o.MaxConnections/10)
	}
	return h.o.MaxConnections
}

func errFull(p *place) error {
	if p.stranger {
		return core.Errorf(core.ErrUnavailable, "Too many connections that wait for their token; send it with the request, or try again")
	}
	return core.Errorf(core.ErrUnavailable, "Too many watchers; try again")
}

// Connections returns how many watches are open.
func (h *Handler) Connections() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.watchers + h.strangers
}
