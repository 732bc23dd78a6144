package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// maxAnswer bounds what is read of one answer; a page of a list is about 4 MiB.
const maxAnswer = 64 << 20

// call is one request, repeatable.
type call struct {
	method string
	path   string // escaped
	query  url.Values
	header http.Header
	body   []byte // nil: none
	// members are what the answer holds at least: a stranger's is no success. None: it is 204.
	members []string
	held    bool // the answer may be that nothing is new
}

// answer is what a call came back with.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) decode(into any) error {
	if err := json.Unmarshal(a.body, into); err != nil {
		return stranger(err)
	}
	return nil
}

// proper finds out whether an answer that is no error is one that a DynConfig server gives to r.
func (r call) proper(a answer) error {
	switch {
	case a.status == http.StatusNotModified && r.held, a.status == http.StatusNoContent && r.members == nil:
		return nil
	case a.status != http.StatusOK && a.status != http.StatusCreated || r.members == nil:
		return stranger(fmt.Errorf("it is %d", a.status))
	}
	var held map[string]json.RawMessage
	if err := json.Unmarshal(a.body, &held); err != nil {
		return stranger(err)
	}
	for _, name := range r.members {
		if _, ok := held[name]; !ok {
			return stranger(fmt.Errorf("it has no %s", name))
		}
	}
	return nil
}

// stranger is the error of an answer that no DynConfig server gives.
func stranger(why error) error {
	return core.Errorf(core.ErrUnsupported, "Server's answer is not one of a DynConfig server").Because(why)
}

// do sends a call until it is answered. Reads are repeatable; a write carries an Idempotency-Key, under which repeating it
// after an unknown outcome writes nothing twice.
func (c *Client) do(ctx context.Context, r call) (answer, error) {
	pauses := c.pauses()
	start := time.Now()
	unknown := false // whether an earlier try of a write may have happened
	for {
		a, err := c.once(ctx, r)
		if err == nil || ctx.Err() != nil {
			return a, err
		}
		again := errors.Is(err, core.ErrUnavailable) || errors.Is(err, core.ErrRateLimited)
		if errors.Is(err, core.ErrConflict) && unknown {
			again = true // the earlier try is still in flight
		}
		unknown = unknown || r.method != http.MethodGet && errors.Is(err, core.ErrUnavailable)
		pause := max(pauses.NextBackOff(), retryAfter(err))
		if !again || time.Since(start)+pause > c.o.Retry {
			return a, err
		}
		if err := sleep(ctx, pause); err != nil {
			return a, err
		}
	}
}

// once sends a call one time.
func (c *Client) once(ctx context.Context, r call) (answer, error) {
	header, err := c.header(ctx)
	if err != nil {
		return answer{}, err
	}
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
		header.Set("Content-Type", "application/json")
	}
	for name, values := range r.header {
		header[name] = values
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.url(r.path, r.query), body)
	if err != nil {
		return answer{}, core.Errorf(core.ErrMalformed, "Request cannot be made").Because(err)
	}
	req.Header = header
	res, err := c.o.HTTPClient.Do(req)
	if err != nil {
		return answer{}, unreachable(ctx, err)
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, header: res.Header}
	if a.body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer)); err != nil {
		return answer{}, unreachable(ctx, err)
	}
	switch {
	case a.status >= 400:
		return a, problem(a.status, a.header, a.body)
	case redirects(a.status):
		return a, redirected(res, r.path)
	}
	return a, r.proper(a)
}

// unreachable is the error of a request that got no answer.
func unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var distrust *tls.CertificateVerificationError
	if errors.As(err, &distrust) {
		return core.Errorf(core.ErrUnsupported, "Server's certificate is not trusted").Because(distrust.Err)
	}
	return core.Errorf(core.ErrUnavailable, "Server cannot be reached").Because(err)
}

// problem reads an error answer back into an error of its kind.
func problem(status int, header http.Header, body []byte) error {
	p := wire.Problem{}
	if json.Unmarshal(body, &p) != nil || p.Status != status {
		// not ours: a proxy's, perhaps
		p = wire.Problem{Status: status, Title: http.StatusText(status), Detail: "Server answered " + strconv.Itoa(status) + " " + http.StatusText(status)}
	}
	if status == http.StatusBadGateway || status == http.StatusGatewayTimeout {
		p.Status = http.StatusServiceUnavailable
	}
	err := p.Err()
	var e *core.Error
	if s, bad := strconv.Atoi(header.Get("Retry-After")); errors.As(err, &e) && bad == nil && s > 0 {
		e.Retry = time.Duration(s) * time.Second
	}
	return err
}

// retryAfter returns how long the server asked to wait.
func retryAfter(err error) time.Duration {
	var e *core.Error
	if errors.As(err, &e) {
		return e.Retry
	}
	return 0
}

// pauses returns jittered, growing pauses.
func (c *Client) pauses() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: c.o.RetryDelay, MaxInterval: max(maxRetryDelay, c.o.RetryDelay), Multiplier: 2, RandomizationFactor: 0.5,
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// under returns the path of a named item. Slashes stay as they are, but in a name that a proxy might clean into another
// one, such as a/../b: the server shall see it and refuse it.
func under(prefix, name string) (string, error) {
	if name == "" {
		return "", core.Errorf(core.ErrInvalid, "Name is empty")
	}
	if path.Clean("/"+name) != "/"+name {
		return prefix + strings.ReplaceAll(url.PathEscape(name), ".", "%2E"), nil
	}
	return prefix + strings.ReplaceAll(url.PathEscape(name), "%2F", "/"), nil
}
