package core

import (
	"context"
	"sync"
	"time"
)

// Health is what the Engine knows of its parts.
type Health struct {
	Status     string // the worst of the components
	Components map[string]string
}

// Words of Health.
const (
	Healthy   = "healthy"
	Degraded  = "degraded"
	Unhealthy = "unhealthy"
)

// healthCache keeps the last probe for a moment, so that asking for health is no way to load the store.
type healthCache struct {
	mu    sync.Mutex
	at    time.Time
	last  Health
	clock time.Duration
}

const (
	healthFor     = time.Second
	healthTimeout = 2 * time.Second
	// maxLag is how far, in commits, a node may be behind the store before it is called degraded.
	maxLag = 10_000
	// maxClock is how far a node's clock may be off the store's before it leaves expiry to others.
	maxClock = time.Second
)

// Health probes the store, at most once a second.
func (e *Engine) Health(ctx context.Context) Health {
	h := &e.health
	h.mu.Lock()
	defer h.mu.Unlock()
	now := e.now()
	if h.last.Status != "" && now.Sub(h.at) < healthFor && !now.Before(h.at) {
		return h.last
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthTimeout)
	defer cancel()
	status, err := e.store.Status(ctx)
	parts := map[string]string{"store": Healthy, "watch": Healthy, "clock": Healthy}
	switch {
	case err != nil:
		parts["store"] = Unhealthy
		e.log.Warn("store does not answer", "error", err)
	case status.Head-e.tail.head() > maxLag:
		parts["watch"] = Degraded
	}
	if err == nil && !e.clockAgrees(status) {
		parts["clock"] = Degraded
	}
	h.at, h.last = e.now(), Health{Status: Worst(parts), Components: parts}
	return h.last
}

// Worst returns the worst of the components' words.
func Worst(components map[string]string) string {
	worst := Healthy
	for _, word := range components {
		if word == Unhealthy || word == Degraded && worst == Healthy {
			worst = word
		}
	}
	return worst
}

// clockAgrees reports whether this node's clock is near the store's, if the store has one.
func (e *Engine) clockAgrees(s Status) bool {
	return s.Clock.IsZero() || e.now().Sub(s.Clock).Abs() <= maxClock
}
