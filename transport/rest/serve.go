package rest

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/transport/auth"
)

// ServeHTTP answers one request: 401 and 429 before anything is looked at, then what the request itself has wrong, then
// what the engine says.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	c := &call{s: s, w: w, r: r, id: requestID(r)}
	w.Header()["X-Request-Id"] = []string{c.id}
	if r.ContentLength != 0 { // net/http reads what is left of a body before it answers, also where nobody wanted it
		c.bodyBy(began.Add(bodyTime))
	}
	rt, param := s.routes.find(r.URL.EscapedPath())
	c.param = param
	if rt != nil {
		r.Pattern = rt.path // for those around this handler, who name spans by it
	}
	defer func() {
		if cause := recover(); cause != nil {
			c.recovered(cause)
		}
		name := r.Pattern
		if rt == nil {
			name = "unmatched"
		}
		s.o.Observe(name, knownMethod(r.Method), c.status, time.Since(began))
	}()
	if err := s.answer(c, rt); err != nil {
		c.fail(err)
	}
}

func (s *Server) answer(c *call, rt *route) error {
	var op *operation
	if rt != nil {
		op = rt.op(c.r.Method)
	}
	public := op != nil && op.public || op == nil && rt != nil && rt.ops[0].public
	if !public && (op == nil || !op.selfGuarded) {
		if err := s.authenticate(c); err != nil {
			return err
		}
	}
	switch {
	case rt == nil:
		return core.Errorf(core.ErrNotFound, "There is nothing at this path")
	case op == nil:
		c.w.Header().Set("Allow", rt.allow)
		if c.r.Method == http.MethodOptions {
			c.none(http.StatusNoContent)
			return nil
		}
		return core.Errorf(core.ErrMethod, "Allowed here: %s", rt.allow)
	case op.given:
		c.r.Header["X-Request-Id"] = []string{c.id}
		return op.run(c)
	}
	if err := c.read(op.params); err != nil {
		return err
	}
	return op.run(c)
}

func (s *Server) authenticate(c *call) error {
	subject, budget, err := s.o.Authenticate(c.r)
	auth.WriteHeaders(c.w.Header(), budget, err)
	if err != nil {
		return err
	}
	if subject == nil {
		return core.Errorf(core.ErrUnauthenticated, "Invalid JWT")
	}
	c.subject = subject
	return nil
}

// recovered answers for a handler that panicked; an answer already begun is broken off.
func (c *call) recovered(cause any) {
	if err, ok := cause.(error); ok && err == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
		panic(cause)
	}
	c.s.o.Logger.ErrorContext(c.ctx(), "request panicked", "requestId", c.id, "method", c.r.Method,
		"panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
	if c.status != 0 {
		panic(http.ErrAbortHandler)
	}
	c.fail(core.ErrInternal)
}

// requestID returns the caller's own id if it is a sane one, so that a request can be followed through several servers.
func requestID(r *http.Request) string {
	if given := r.Header["X-Request-Id"]; len(given) == 1 && saneID(given[0]) {
		return given[0]
	}
	return rand.Text()
}

func saneID(id string) bool {
	for i := range len(id) {
		b := id[i]
		if b != '-' && b != '_' && b != '.' && b != ':' && (b < '0' || b > '9') && (b < 'A' || b > 'Z') && (b < 'a' || b > 'z') {
			return false
		}
	}
	return id != "" && len(id) <= 128
}

var methods = []string{
	http.MethodGet, http.MethodPut, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

func knownMethod(m string) string {
	if slices.Contains(methods, m) {
		return m
	}
	return "other"
}
