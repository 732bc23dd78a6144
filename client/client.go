// Package client is DynConfig for Go programs: typed calls, a watch that survives restarts and lost connections, and
// Mirror, a copy in memory that a service reads without a call.
//
// Errors are of the kinds in package core, as on the server: errors.Is(err, core.ErrNotFound).
package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/dynconfig/dynconfig/wire"
)

// The shapes that calls take and return are those on the wire.
type (
	ACL        = wire.ACL
	Item       = wire.Item
	Listing    = wire.Listing
	Namespace  = wire.Namespace
	Namespaces = wire.Namespaces
)

// TokenSource returns a JWT that is valid now. It is asked before every call and whenever a watch needs a fresh one, so it
// keeps the token by itself where fetching one is dear.
type TokenSource func(ctx context.Context) (string, error)

// StaticToken is a TokenSource that always returns the same token.
func StaticToken(token string) TokenSource {
	return func(context.Context) (string, error) { return token, nil }
}

// Defaults of Options.
const (
	DefaultRetry      = 15 * time.Second
	DefaultRetryDelay = 200 * time.Millisecond
	maxRetryDelay     = 10 * time.Second
)

// Options are a Client's optional parts; the zero value works.
type Options struct {
	Token       TokenSource  // nil: calls carry no token
	Environment string       // "": the server's default
	HTTPClient  *http.Client // nil: http.DefaultClient; redirects are not followed in any case
	// Retry is how long a call that met an unreachable or overloaded server is repeated; 0: DefaultRetry, negative: not at
	// all. A watch reconnects for as long as its context lives.
	Retry time.Duration
	// RetryDelay is about the first pause before trying again; later ones grow. 0: DefaultRetryDelay.
	RetryDelay time.Duration
}

// Client calls one server. It is safe for concurrent use and holds nothing to close.
type Client struct {
	base *url.URL
	o    Options
}

// New returns a Client of the server at an http or https URL, such as http://127.0.0.1:8080.
func New(server string, o Options) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(server, "/"))
	if err != nil {
		return nil, fmt.Errorf("server address: %w", err)
	}
	if base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("server address %q is not a URL such as http://127.0.0.1:8080", server)
	}
	if base.RawQuery != "" || base.Fragment != "" || base.User != nil {
		return nil, fmt.Errorf("server address %q holds more than scheme, host, port and path", base.Redacted())
	}
	o.HTTPClient = unredirected(o.HTTPClient)
	if o.Retry == 0 {
		o.Retry = DefaultRetry
	}
	if o.RetryDelay == 0 {
		o.RetryDelay = DefaultRetryDelay
	}
	return &Client{base: base, o: o}, nil
}

// In returns a Client of another environment, alike otherwise.
func (c *Client) In(environment string) *Client {
	other := *c
	other.o.Environment = environment
	return &other
}

// Server is the address that New was given.
func (c *Client) Server() string { return c.base.String() }

// url returns the address of an escaped path with a query.
func (c *Client) url(path string, query url.Values) string {
	u := c.base.String() + path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	return u
}

// header returns what every request carries.
func (c *Client) header(ctx context.Context) (http.Header, error) {
	h := http.Header{}
	if c.o.Environment != "" {
		h.Set(wire.HeaderEnvironment, c.o.Environment)
	}
	if c.o.Token == nil {
		return h, nil
	}
	token, err := c.o.Token(ctx)
	if err != nil {
		return nil, fmt.Errorf("token source: %w", err)
	}
	h.Set("Authorization", "Bearer "+token)
	return h, nil
}
