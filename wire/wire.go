// Package wire is what travels between server and clients: bodies, watch frames, problems and their table. The doc tags are
// what the OpenAPI document says.
package wire

import (
	"encoding/json"
	"time"
)

// ACL is the lists of an item. A list that is absent or null is inherited; an empty one is nobody.
type ACL struct {
	Read  []string `json:"read,omitzero" doc:"Who may read."`
	Write []string `json:"write,omitzero" doc:"Who may write and delete."`
	Admin []string `json:"admin,omitzero" doc:"Who may do everything, and change this."`
}

// Over returns a's lists, and those of below where a has none.
func (a ACL) Over(below ACL) *ACL {
	if a.Read == nil {
		a.Read = below.Read
	}
	if a.Write == nil {
		a.Write = below.Write
	}
	if a.Admin == nil {
		a.Admin = below.Admin
	}
	return &a
}

// Written answers a PUT or PATCH.
type Written struct {
	Key          string    `json:"key" doc:"Its name."`
	Version      int64     `json:"version" doc:"The version written."`
	LastModified time.Time `json:"lastModified" doc:"When it was written."`
}

// Item answers a GET. The members after Version come with metadata=true, ACLs only for admins of the key.
type Item struct {
	Key            string          `json:"key" doc:"Its name."`
	Value          json.RawMessage `json:"value" doc:"Byte for byte as it was written."`
	Version        int64           `json:"version" doc:"1, 2, 3 …: one more at every write, delete and expiry."`
	TTL            *int64          `json:"ttl,omitempty" doc:"Seconds that a written value lives."`
	ExpiresAt      *time.Time      `json:"expiresAt,omitempty" doc:"When this one expires."`
	LastModified   *time.Time      `json:"lastModified,omitempty" doc:"When it was written."`
	LastModifiedBy string          `json:"lastModifiedBy,omitempty" doc:"Who wrote it."`
	Revision       string          `json:"revision,omitempty" doc:"The commit that wrote it."`
	ACLs           *ACL            `json:"acls,omitempty" doc:"Its own ACL, for its admins; empty if it has none."`
}

// Listing answers GET /keys.
type Listing struct {
	Keys              []string `json:"keys" doc:"Names in byte order."`
	Total             int      `json:"total" doc:"How many there are on all pages."`
	TotalIsLowerBound bool     `json:"totalIsLowerBound,omitempty" doc:"Counting stopped at 10,000."`
	NextCursor        string   `json:"nextCursor,omitempty" doc:"Continues the list; absent on the last page."`
	Revision          string   `json:"revision" doc:"The state that the page shows."`
	Items             []Item   `json:"items,omitzero" doc:"The values, with values=true or exact keys."`
}

// Namespace answers GET /namespaces/{ns}; ACLs only for its admins.
type Namespace struct {
	Namespace      string    `json:"namespace" doc:"Its name."`
	Version        int64     `json:"version" doc:"1, 2, 3 …: one more at every change."`
	LastModified   time.Time `json:"lastModified" doc:"When it was written."`
	LastModifiedBy string    `json:"lastModifiedBy,omitempty" doc:"Who wrote it."`
	Revision       string    `json:"revision" doc:"The commit that wrote it."`
	ACLs           *ACL      `json:"acls,omitempty" doc:"Its own ACL, for its admins; empty if it has none."`
}

// NamespaceWritten answers PUT /namespaces/{ns}.
type NamespaceWritten struct {
	Namespace    string    `json:"namespace" doc:"Its name."`
	Version      int64     `json:"version" doc:"The version written."`
	LastModified time.Time `json:"lastModified" doc:"When it was written."`
}

// Namespaces answers GET /namespaces.
type Namespaces struct {
	Namespaces        []string `json:"namespaces" doc:"Names in byte order."`
	Total             int      `json:"total" doc:"How many there are on all pages."`
	TotalIsLowerBound bool     `json:"totalIsLowerBound,omitempty" doc:"Counting stopped at 10,000."`
	NextCursor        string   `json:"nextCursor,omitempty" doc:"Continues the list; absent on the last page."`
	Revision          string   `json:"revision" doc:"The state that the page shows."`
}

// Headers of requests and answers.
const (
	HeaderEnvironment = "X-DynConfig-Environment"
	HeaderIronflowEnv = "X-Ironflow-Environment"
	HeaderRevision    = "X-DynConfig-Revision"
	HeaderMinRevision = "X-DynConfig-Min-Revision"
	HeaderIdempotency = "Idempotency-Key"
	HeaderStale       = "X-DynConfig-Stale" // seconds for which the store has been away from the node that answers
	HeaderRequestID   = "X-Request-Id"
)
