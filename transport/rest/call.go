package rest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// call is one request and its answer. It is the ResponseWriter of handlers given in Options, to know their status.
type call struct {
	s       *Server
	w       http.ResponseWriter
	r       *http.Request
	id      string // of the request
	param   string // of the path
	subject *core.Subject
	in      inputs
	status  int // 0: nothing answered yet
}

// caller says on whose behalf the engine acts.
func (c *call) caller() core.Caller {
	return core.Caller{Subject: c.subject, Environment: c.in.env, Address: c.s.o.Address(c.r), RequestID: c.id}
}

func (c *call) ctx() context.Context { return c.r.Context() }

// Header returns the header of the answer.
func (c *call) Header() http.Header { return c.w.Header() }

// WriteHeader begins the answer.
func (c *call) WriteHeader(status int) {
	if c.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		c.status = status
	}
	c.w.WriteHeader(status)
}

func (c *call) Write(b []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	return c.w.Write(b)
}

// Unwrap lets http.ResponseController, and with it WebSocket upgrades, reach the connection.
func (c *call) Unwrap() http.ResponseWriter { return c.w }

// Media types of answers, ready for a header: a slice of one each, which nobody changes.
var (
	typeJSON = []string{"application/json"}
	noStore  = []string{"no-store"}
)

// json answers with a status and a JSON text.
func (c *call) json(status int, text []byte) {
	h := c.w.Header()
	h["Content-Type"] = typeJSON
	h["Cache-Control"] = noStore
	h["Content-Length"] = []string{strconv.Itoa(len(text))}
	c.WriteHeader(status)
	_, _ = c.Write(text) // a client that went away has nothing to be told
}

// none answers with a status and no body.
func (c *call) none(status int) { c.WriteHeader(status) }

// tag says which version of an item the answer shows.
func (c *call) tag(version int64) {
	var room [22]byte
	b := append(strconv.AppendInt(append(room[:0], '"'), version, 10), '"')
	c.w.Header()["Etag"] = []string{string(b)}
}

// fail answers with an error. Causes of an internal one go to the log. A request that was broken off, by its client or by
// the end of the server, is no defect.
func (c *call) fail(err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) && c.ctx().Err() != nil {
		err = core.Errorf(core.ErrUnavailable, "The request was broken off; try again").Because(err)
	}
	row := wire.RowOf(err)
	if row.Status >= 500 && c.ctx().Err() == nil {
		level := slog.LevelError
		if row.Status == http.StatusServiceUnavailable {
			level = slog.LevelWarn // it passes, and whoever is away is logged elsewhere
		}
		c.s.o.Logger.Log(c.ctx(), level, "request failed", "requestId", c.id, "method", c.r.Method, "status", row.Status, "error", err)
	}
	wire.WriteError(c, err, c.id)
}

// peer is the host at the other end of the connection.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
