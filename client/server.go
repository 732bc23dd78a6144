package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/dynconfig/dynconfig/core"
)

// Health is a server's view of itself and its parts: each "healthy", "degraded" or "unhealthy".
type Health struct {
	Status     string            `json:"status"`
	Components map[string]string `json:"components"`
}

// Health asks how the server is. An unhealthy one is an answer, not an error.
func (c *Client) Health(ctx context.Context) (Health, error) {
	a, err := c.once(ctx, call{method: http.MethodGet, path: "/health", members: []string{"status"}})
	var h Health
	if err != nil && !(errors.Is(err, core.ErrUnavailable) && a.status == http.StatusServiceUnavailable) {
		return h, err
	}
	if bad := a.decode(&h); bad != nil || !slices.Contains([]string{core.Healthy, core.Degraded, core.Unhealthy}, h.Status) {
		if err == nil {
			err = stranger(fmt.Errorf("its status is %q", h.Status))
		}
		return Health{}, err
	}
	return h, nil
}

// Version is what a server says of itself.
type Version struct {
	Version string `json:"version"`
	Backend string `json:"backend"`
	Limits  Limits `json:"limits"`
}

// Limits are a server's sizes and facts.
type Limits struct {
	MaxOperations int  `json:"maxOperations"` // in one commit
	MaxBytes      int  `json:"maxBytes"`      // of values in one commit
	MaxValueBytes int  `json:"maxValueBytes"`
	Shared        bool `json:"shared"`  // several nodes may serve the same data
	Durable       bool `json:"durable"` // what was acknowledged survives a loss of power
}

// Version asks for the server's version, backend and limits.
func (c *Client) Version(ctx context.Context) (Version, error) {
	a, err := c.do(ctx, call{method: http.MethodGet, path: "/version", members: []string{"version", "limits"}})
	if err != nil {
		return Version{}, err
	}
	var v Version
	return v, a.decode(&v)
}
