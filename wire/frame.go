package wire

import (
	"encoding/json"
	"time"
)

// ClientFrame is a message from a watching client: exactly one of Subscribe, Unsubscribe and Token, or Token beside
// Subscribe in the first message.
type ClientFrame struct {
	Subscribe     []string        `json:"subscribe,omitempty"`
	Unsubscribe   []string        `json:"unsubscribe,omitempty"`
	Token         string          `json:"token,omitempty"`
	SinceVersion  *int64          `json:"since_version,omitempty"`
	SinceRevision string          `json:"since_revision,omitempty"`
	Snapshot      bool            `json:"snapshot,omitempty"`
	Every         bool            `json:"every,omitempty"`
	ID            json.RawMessage `json:"id,omitempty"`
}

// Frame is a message to a watching client.
type Frame struct {
	Event        string          `json:"event"`
	ID           json.RawMessage `json:"id,omitempty"`
	Patterns     []string        `json:"patterns,omitempty"`
	Key          string          `json:"key,omitempty"`
	Version      int64           `json:"version,omitempty"`
	Value        json.RawMessage `json:"value,omitempty"`
	Revision     string          `json:"revision,omitempty"`
	LastModified *time.Time      `json:"lastModified,omitempty"` // of an update
	More         bool            `json:"more,omitempty"`
	Snapshot     bool            `json:"snapshot,omitempty"`
	Conflated    bool            `json:"conflated,omitempty"`
	Synced       bool            `json:"synced,omitempty"`
	ExpiresAt    *time.Time      `json:"expiresAt,omitempty"`
	Code         string          `json:"code,omitempty"`
	Message      string          `json:"message,omitempty"`
}

// Subprotocol is the WebSocket subprotocol of a watch; BearerPrefix precedes a token offered as another one.
const (
	Subprotocol  = "dynconfig.v1"
	BearerPrefix = "bearer."
)

// Close codes of a watch.
const (
	CloseGoingAway  = 1001
	CloseBadMessage = 4400
	CloseToken      = 4401
	CloseForbidden  = 4403
	CloseSlow       = 4408
	CloseRate       = 4429
)
