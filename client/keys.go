package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/dynconfig/dynconfig/wire"
)

// ErrNotModified answers a Get whose SinceVersion has not been passed by.
var ErrNotModified = errors.New("not modified")

// GetOptions say how to read; the zero value reads the present value.
type GetOptions struct {
	SinceVersion *int64        // answer only with a newer version, else ErrNotModified
	Wait         time.Duration // hold the answer until there is one, at most 60 s
	Metadata     bool          // also TTL, times, author, revision; and ACLs for admins of the key
	Strong       bool          // linearizable
	MinRevision  string        // at least this revision, as a write returned it
}

func (o GetOptions) query() url.Values {
	q := url.Values{}
	if o.SinceVersion != nil {
		q.Set("since_version", strconv.FormatInt(*o.SinceVersion, 10))
	}
	if o.Wait > 0 {
		q.Set("wait", o.Wait.String())
	}
	if o.Metadata {
		q.Set("metadata", "true")
	}
	if o.Strong {
		q.Set("consistency", "strong")
	}
	return q
}

// Get reads a key.
func (c *Client) Get(ctx context.Context, key string, o GetOptions) (Item, error) {
	p, err := under("/keys/", key)
	if err != nil {
		return Item{}, err
	}
	r := call{method: http.MethodGet, path: p, query: o.query(), header: http.Header{}, members: []string{"key", "value", "version"}, held: true}
	if o.MinRevision != "" {
		r.header.Set(wire.HeaderMinRevision, o.MinRevision)
	}
	a, err := c.do(ctx, r)
	if err != nil {
		return Item{}, err
	}
	if a.status == http.StatusNotModified {
		return Item{}, ErrNotModified
	}
	var item Item
	return item, a.decode(&item)
}

// GetMany reads up to 100 keys at one revision. What is absent, or may not be read, is left out.
func (c *Client) GetMany(ctx context.Context, keys ...string) (Listing, error) {
	a, err := c.do(ctx, call{method: http.MethodGet, path: "/keys", query: url.Values{"key": keys}, members: listMembers})
	if err != nil {
		return Listing{}, err
	}
	var l Listing
	return l, a.decode(&l)
}

// WriteOptions say what a write sends beside the value, and when it counts; the zero value writes unconditionally and keeps
// what the server holds.
type WriteOptions struct {
	TTL       time.Duration // how long the value lives, whole seconds; 0: not sent
	ClearTTL  bool          // remove the TTL
	ACLs      *ACL          // nil: not sent
	ClearACLs bool          // remove the item's own ACL

	IfVersion int64 // only at this version, else core.ErrPrecondition; 0: no condition
	IfAbsent  bool  // only if there is none

	// IdempotencyKey identifies the write for 24 hours. Empty: one is made for the tries of this call.
	IdempotencyKey string
}

// Written is what became of a write. Revision can be given as GetOptions.MinRevision and WatchOptions.SinceRevision.
type Written struct {
	wire.Written
	Created  bool // absent before
	Revision string
}

// Put writes a value: json.RawMessage is sent byte for byte, anything else as encoding/json writes it.
func (c *Client) Put(ctx context.Context, key string, value any, o WriteOptions) (Written, error) {
	raw, err := rawValue(value)
	if err != nil {
		return Written{}, err
	}
	return c.write(ctx, http.MethodPut, key, raw, o)
}

// Patch changes what is given of a present key; a nil value keeps the one it has.
func (c *Client) Patch(ctx context.Context, key string, value any, o WriteOptions) (Written, error) {
	if value == nil {
		return c.write(ctx, http.MethodPatch, key, nil, o)
	}
	raw, err := rawValue(value)
	if err != nil {
		return Written{}, err
	}
	return c.write(ctx, http.MethodPatch, key, raw, o)
}

func (c *Client) write(ctx context.Context, method, key string, value []byte, o WriteOptions) (Written, error) {
	p, err := under("/keys/", key)
	if err != nil {
		return Written{}, err
	}
	body, err := o.body(value)
	if err != nil {
		return Written{}, err
	}
	a, err := c.do(ctx, call{method: method, path: p, header: o.header(), body: body, members: []string{"key", "version"}})
	if err != nil {
		return Written{}, err
	}
	w := Written{Created: a.status == http.StatusCreated, Revision: a.header.Get(wire.HeaderRevision)}
	return w, a.decode(&w.Written)
}

// DeleteOptions say when a delete counts, and how far it goes.
type DeleteOptions struct {
	IfVersion      int64 // only at this version; 0: no condition
	Purge          bool  // forget the key's versions too; for server admins
	IdempotencyKey string
}

// Delete removes a key and returns the revision of the commit.
func (c *Client) Delete(ctx context.Context, key string, o DeleteOptions) (revision string, err error) {
	p, err := under("/keys/", key)
	if err != nil {
		return "", err
	}
	r := call{method: http.MethodDelete, path: p, header: o.header()}
	if o.Purge {
		r.query = url.Values{"purge": {"true"}}
	}
	a, err := c.do(ctx, r)
	if err != nil {
		return "", err
	}
	return a.header.Get(wire.HeaderRevision), nil
}

func (o DeleteOptions) header() http.Header {
	return WriteOptions{IfVersion: o.IfVersion, IdempotencyKey: o.IdempotencyKey}.header()
}
