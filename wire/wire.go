// Package wire is what travels between server and clients: bodies, watch frames, problems and their table.
package wire

import (
	"encoding/json"
	"time"
)

// ACL is the lists of an item. A list that is absent or null is inherited; an empty one is nobody.
type ACL struct {
	Read  []string `json:"read,omitzero"`
	Write []string `json:"write,omitzero"`
	Admin []string `json:"admin,omitzero"`
}

// Written answers a PUT or PATCH.
type Written struct {
	Key          string    `json:"key"`
	Version      int64     `json:"version"`
	LastModified time.Time `json:"lastModified"`
}

// Item answers a GET. The members after Version come with metadata=true, ACLs only for admins of the key.
type Item struct {
	Key            string          `json:"key"`
	Value          json.RawMessage `json:"value"`
	Version        int64           `json:"version"`
	TTL            *int64          `json:"ttl,omitempty"`
	ExpiresAt      *time.Time      `json:"expiresAt,omitempty"`
	LastModified   *time.Time      `json:"lastModified,omitempty"`
	LastModifiedBy string          `json:"lastModifiedBy,omitempty"`
	Revision       string          `json:"revision,omitempty"`
	ACLs           *ACL            `json:"acls,omitempty"`
}

// Listing answers GET /keys.
type Listing struct {
	Keys              []string `json:"keys"`
	Total             int      `json:"total"`
	TotalIsLowerBound bool     `json:"totalIsLowerBound,omitempty"`
	NextCursor        string   `json:"nextCursor,omitempty"`
	Revision          string   `json:"revision"`
	Items             []Item   `json:"items,omitzero"`
}

// Namespace answers GET /namespaces/{ns}; ACLs only for its admins.
type Namespace struct {
	Namespace      string    `json:"namespace"`
	Version        int64     `json:"version"`
	LastModified   time.Time `json:"lastModified"`
	LastModifiedBy string    `json:"lastModifiedBy,omitempty"`
	Revision       string    `json:"revision"`
	ACLs           *ACL      `json:"acls,omitempty"`
}

// NamespaceWritten answers PUT /namespaces/{ns}.
type NamespaceWritten struct {
	Namespace    string    `json:"namespace"`
	Version      int64     `json:"version"`
	LastModified time.Time `json:"lastModified"`
}

// Namespaces answers GET /namespaces.
type Namespaces struct {
	Namespaces        []string `json:"namespaces"`
	Total             int      `json:"total"`
	TotalIsLowerBound bool     `json:"totalIsLowerBound,omitempty"`
	NextCursor        string   `json:"nextCursor,omitempty"`
	Revision          string   `json:"revision"`
}

// Headers of requests and answers.
const (
	HeaderEnvironment = "X-DynConfig-Environment"
	HeaderIronflowEnv = "X-Ironflow-Environment"
	HeaderRevision    = "X-DynConfig-Revision"
	HeaderMinRevision = "X-DynConfig-Min-Revision"
	HeaderIdempotency = "Idempotency-Key"
	HeaderRequestID   = "X-Request-Id"
)
