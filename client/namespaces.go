package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/dynconfig/dynconfig/wire"
)

// NamespacePages lists the namespaces that have a record, page by page.
func (c *Client) NamespacePages(ctx context.Context, pageSize int) iter.Seq2[Namespaces, error] {
	q := url.Values{}
	if pageSize > 0 {
		q.Set("limit", strconv.Itoa(pageSize))
	}
	return pages(ctx, c, call{path: "/namespaces", query: q, members: []string{"namespaces", "revision"}}, func(l Namespaces) string { return l.NextCursor })
}

// Namespace reads a namespace's record; ACLs are for its admins.
func (c *Client) Namespace(ctx context.Context, name string) (Namespace, error) {
	p, err := under("/namespaces/", name)
	if err != nil {
		return Namespace{}, err
	}
	a, err := c.do(ctx, call{method: http.MethodGet, path: p, members: []string{"namespace", "version"}})
	if err != nil {
		return Namespace{}, err
	}
	var n Namespace
	return n, a.decode(&n)
}

// NamespaceWritten is what became of a namespace's record.
type NamespaceWritten struct {
	wire.NamespaceWritten
	Created  bool
	Revision string
}

// PutNamespace writes a namespace's record. What is not sent is kept; a namespace has no TTL.
func (c *Client) PutNamespace(ctx context.Context, name string, o WriteOptions) (NamespaceWritten, error) {
	p, err := under("/namespaces/", name)
	if err != nil {
		return NamespaceWritten{}, err
	}
	body, err := o.body(nil)
	if err != nil {
		return NamespaceWritten{}, err
	}
	a, err := c.do(ctx, call{method: http.MethodPut, path: p, header: o.header(), body: body, members: []string{"namespace", "version"}})
	if err != nil {
		return NamespaceWritten{}, err
	}
	w := NamespaceWritten{Created: a.status == http.StatusCreated, Revision: a.header.Get(wire.HeaderRevision)}
	return w, a.decode(&w.NamespaceWritten)
}

// DeleteNamespace removes a namespace's record, not its keys: the next record outwards governs at once.
func (c *Client) DeleteNamespace(ctx context.Context, name string, o DeleteOptions) (revision string, err error) {
	p, err := under("/namespaces/", name)
	if err != nil {
		return "", err
	}
	a, err := c.do(ctx, call{method: http.MethodDelete, path: p, header: o.header()})
	if err != nil {
		return "", err
	}
	return a.header.Get(wire.HeaderRevision), nil
}
