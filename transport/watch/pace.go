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

// validity is how long a session's token lets it be told things. Times are Unix nanoseconds, 0 for never.
type validity struct {
	expires atomic.Int64
	warned  int64 // the pacer's: the expiry that was told
}

func (v *validity) set(s *core.Subject) {
	if s.Expires.IsZero() {
		v.expires.Store(0)
		return
	}
	v.expires.Store(s.Expires.UnixNano())
}

// over reports whether the token's time is up.
func (v *validity) over(now time.Time) bool {
	at := v.expires.Load()
	return at != 0 && now.UnixNano() >= at
}

// warn reports, once for each token, that its end is near.
func (v *validity) warn(now time.Time) (time.Time, bool) {
	at := v.expires.Load()
	if at == 0 || at == v.warned || now.UnixNano() < at-int64(warnBefore) {
		return time.Time{}, false
	}
	v.warned = at
	return time.Unix(0, at).UTC(), true
}
