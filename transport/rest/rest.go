// Package rest is the HTTP interface: keys, namespaces, health and the pages about them.
//
// Every operation is a row of one table (operation.go). The row says how it is documented, what it takes and what runs, so
// that the OpenAPI document, which Huma writes, cannot say other than what the server does. The requests themselves are
// read here and not by Huma's binding: it takes members in another case, unknown parameters and repeated ones, answers a
// bad parameter with 422, and alone takes longer than a whole GET does here (BenchmarkHuma, BenchmarkGet).
package rest

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/dynconfig/dynconfig/core"
)

// Options are the server's optional parts. The zero value works, but lets nobody in.
type Options struct {
	// Authenticate says who sends a request and counts it against its budget; the budget is told with an error too.
	// Nil: every request is unauthenticated.
	Authenticate func(*http.Request) (*core.Subject, core.Budget, error)
	// Address says where a request comes from. Nil: the peer's host.
	Address func(*http.Request) string

	Watch   http.Handler // GET /watch, which authenticates by itself; nil: 404
	Metrics http.Handler // GET /metrics; nil: 404
	JWKS    http.Handler // GET /.well-known/jwks.json; nil: 404

	Policies Policies // what the /policy routes call; nil: 404

	// Observe hears of every answer. The route is a path of the OpenAPI document or "unmatched", the method one that the
	// server knows or "other", so that neither is the caller's choice.
	Observe func(route, method string, status int, took time.Duration)
	Logger  *slog.Logger // nil: nothing is logged

	// Draining reports that the server takes no new work: /readyz is then 503. Nil: never.
	Draining func() bool
	// Components adds words for parts that the Engine does not know to /health. Nil: none.
	Components func() map[string]string
	// HideDenied makes every denial of a read the same 404 as an absent key, and that of a write by somebody who may not read
	// the item what it would be without one.
	HideDenied bool
	// Cursors seals the cursors of lists. Nodes that serve the same clients share it; nil: a key of this process alone.
	Cursors core.Sealer

	Version string // of the server, for /version and the document
	Backend string // its name, for /version
}

// Server answers HTTP requests with an Engine.
type Server struct {
	engine *core.Engine
	o      Options
	routes routes
	spec   *huma.OpenAPI
}

var _ http.Handler = (*Server)(nil)

// New makes the handler of an engine. A nil engine will do for the OpenAPI document alone.
func New(engine *core.Engine, o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Address == nil {
		o.Address = peer
	}
	if o.Authenticate == nil {
		o.Authenticate = nobody
	}
	if o.Observe == nil {
		o.Observe = func(string, string, int, time.Duration) {}
	}
	if o.Draining == nil {
		o.Draining = func() bool { return false }
	}
	if o.Components == nil {
		o.Components = func() map[string]string { return nil }
	}
	if o.Cursors == nil {
		o.Cursors = newProcessKey()
	}
	s := &Server{engine: engine, o: o, spec: newSpec(o.Version)}
	for _, op := range s.operations() {
		s.routes.add(op)
		s.spec.AddOperation(op.document(s.spec.Components.Schemas))
	}
	finishSpec(s.spec)
	return s
}

// OpenAPI returns the OpenAPI 3.1 document. It is not to be changed.
func (s *Server) OpenAPI() *huma.OpenAPI { return s.spec }

func nobody(*http.Request) (*core.Subject, core.Budget, error) {
	return nil, core.Budget{}, core.Errorf(core.ErrUnauthenticated, "Invalid JWT")
}
