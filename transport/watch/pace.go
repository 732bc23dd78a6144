package watch

import (
	"sync/atomic"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// Times of a session.
const (
	pingEvery    = 20 * time.Second
	commentEvery = 15 * time.Second
	firstWithin  = 10 * time.Second // a token in the first message
	warnBefore   = 30 * time.Second // the token's end
	closeWithin  = 5 * time.Second  // a peer that is told the end has so long to hear it
	paceEvery    = 250 * time.Millisecond
)

// pace ticks every session until there is none. One walk over all costs less, in memory above all, than a timer for each
// of the things that a session waits for.
func (h *Handler) pace() {
	t := time.NewTicker(paceEvery)
	defer t.Stop()
	var all []session
	for range t.C {
		all = all[:0]
		h.mu.Lock()
		if len(h.sessions) == 0 {
			h.pacing = false
			h.mu.Unlock()
			return
		}
		for s := range h.sessions {
			all = append(all, s)
		}
		h.mu.Unlock()
		now := h.o.Now()
		for _, s := range all {
			s.tick(now)
		}
		clear(all)
	}
}

// validity is how long a session's token lets it be told things. Asking costs two atomic loads, so that it can be asked
// before each batch, and by the pacer of all that are idle: nobody has to be told that a key is gone.
type validity struct {
	token  atomic.Pointer[core.Subject]
	warned time.Time // the pacer's: the expiry that was told
}

func (v *validity) set(s *core.Subject) { v.token.Store(s) }

// Why a token lets its session be told nothing more.
const (
	expired = "token has expired"
	lapsed  = "token counts no longer"
)

// over returns why the token has ended, "" while it has not.
func (v *validity) over(now time.Time) string {
	s := v.token.Load()
	switch {
	case s == nil:
		return ""
	case !s.Expires.IsZero() && !now.Before(s.Expires):
		return expired
	case s.Lapsed(now):
		return lapsed
	}
	return ""
}

// warn reports, once for each token, that its end is near.
func (v *validity) warn(now time.Time) (time.Time, bool) {
	s := v.token.Load()
	if s == nil || s.Expires.IsZero() || s.Expires.Equal(v.warned) || now.Before(s.Expires.Add(-warnBefore)) {
		return time.Time{}, false
	}
	v.warned = s.Expires
	return s.Expires.UTC(), true
}
