package client

import (
	"context"
	"errors"
	"net/http"

	"github.com/dynconfig/dynconfig/core"
)

// Health is a server's view of itself and its parts: each "healthy", "degraded" or "unhealthy".
type Health struct {
	Status     string            `json:"status"`
	Components map[string]string `json:"components"`
}

// Health asks how the server is. An unhealthy one is an answer, not an error.
func (c *Client) Health(ctx context.Context) (Health, error) {
	a, err := c.once(ctx, call{method: http.MethodGet, path: "/health"})
	var h Health
	if err != nil && !(errors.Is(err, core.ErrUnavailable) && a.status == http.StatusServiceUnavailable) {
		return h, err
	}
	if bad := a.decode(&h); bad != nil || h.Status == "" {
		return Health{}, errors.Join(err, bad)
	}
	return h, nil
}
