package client

import (
	"context"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strconv"
)

// ListOptions say what to list; the zero value lists every key that may be read.
type ListOptions struct {
	Namespace string // keys below it; "": all
	Access    string // "read" or "write": keys that allow it; "": read
	Principal string // what this one may access, of the keys that the caller administers; "": the caller
	Values    bool   // with values and versions
	PageSize  int    // 1–1000; 0: the server's choice
}

// Pages lists keys page by page. A watch from the first page's Revision follows the list without a gap.
func (c *Client) Pages(ctx context.Context, o ListOptions) iter.Seq2[Listing, error] {
	q := url.Values{}
	if o.Namespace != "" {
		q.Set("namespace", o.Namespace)
	}
	if o.Access != "" {
		q.Set("access", o.Access)
	}
	if o.Principal != "" {
		q.Set("principal", o.Principal)
	}
	if o.Values {
		q.Set("values", "true")
	}
	if o.PageSize > 0 {
		q.Set("limit", strconv.Itoa(o.PageSize))
	}
	return pages(ctx, c, call{path: "/keys", query: q, members: listMembers}, func(l Listing) string { return l.NextCursor })
}

// listMembers are what an answer with keys holds.
var listMembers = []string{"keys", "revision"}

// List lists keys one by one; they have a value and a version if these are asked for.
func (c *Client) List(ctx context.Context, o ListOptions) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for page, err := range c.Pages(ctx, o) {
			if err != nil {
				yield(Item{}, err)
				return
			}
			items := page.Items
			if !o.Values {
				items = make([]Item, len(page.Keys))
				for i, key := range page.Keys {
					items[i].Key = key
				}
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}

// pages repeats a GET with the cursor of each answer until there is none.
func pages[T any](ctx context.Context, c *Client, first call, next func(T) string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		r := first
		r.method, r.query = http.MethodGet, maps.Clone(first.query)
		for {
			var page T
			a, err := c.do(ctx, r)
			if err == nil {
				err = a.decode(&page)
			}
			if !yield(page, err) || err != nil || next(page) == "" {
				return
			}
			r.query.Set("cursor", next(page))
		}
	}
}
