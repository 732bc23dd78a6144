// Package watch carries core.Watcher streams to clients, as WebSockets and as server-sent events.
//
// The Engine decides what a watcher hears, in which order, and after how long a silence. This package adds what belongs
// to a connection: the upgrade, tokens and their end, limits, pings, frames, and how a connection closes.
//
// An idle WebSocket costs one small goroutine that reads. Writing is done by a pump: a goroutine that lives only while
// there is something to write. Time is kept for all connections by one pacer.
//
// Where the contract leaves it open:
//
//   - A message over the principal's rate limit is an error event, rate_limited, and changes nothing; at the login by a
//     first message it closes 4429, and so does a token that does not verify where the address had too many of them. A token that cannot be verified just now is an error event, unavailable.
//   - A login to an environment that does not exist is an error event, environment_not_found, and closes 4403.
//   - A store that is away closes 1013, and so does a first message when all places are taken; a defect 1011. Messages that nobody waits the answers of, a thousand, close 4408.
//   - On the URL, what would be an error event in a message is a 400. Server-sent events that the policy denies are a 403,
//     and end with an error event where a WebSocket has a close code: token_expired, too_slow, forbidden and so on.
package watch

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// MaxConnections is the default of Options.MaxConnections.
const MaxConnections = 10_000

// Options are a Handler's optional parts. The zero value refuses everyone and limits nobody.
type Options struct {
	// Authenticate verifies the token in a request's Authorization and counts the request against the principal's rate
	// limit. The Budget is told even where there is an error.
	Authenticate func(*http.Request) (*core.Subject, core.Budget, error)
	// Verify verifies a token that came in a subprotocol or message, and counts one that does not verify against the address
	// that it came from. The Budget is the address's.
	Verify func(ctx context.Context, token, address string) (*core.Subject, core.Budget, error)
	// Alike reports whether the policy makes no difference between a principal's old token and a fresh one; where it may, what
	// was sent is forgotten. nil: core.Alike.
	Alike func(was, is *core.Subject) bool
	// Take counts n requests against a principal's rate limit. nil: no limit.
	Take func(ctx context.Context, principal string, n int) core.Budget

	// Await reports whether an address may open a WebSocket and bring its token in the first message: ErrRateLimited if it failed
	// too often. Failed counts one that brought none. nil: everyone may, and nothing is counted.
	Await  func(ctx context.Context, address string) (core.Budget, error)
	Failed func(ctx context.Context, address string)

	// Stray looks for a token where none belongs, in the query or a cookie, when none came where it does. Its error is told
	// if it is core.ErrMalformed, and nothing else of it counts. nil: not looked for in cookies.
	Stray func(*http.Request) error
	// Address is where a request comes from, for policy and audit. nil: the peer's.
	Address func(*http.Request) string

	// MaxConnections is how many watches are open at one time; 0: MaxConnections. A tenth of it, and at least 16, may beside them
	// wait for their token.
	MaxConnections int
	AllowOrigins   []string         // exact origins, beside the server's own
	Now            func() time.Time // nil: time.Now
	Logger         *slog.Logger     // nil: none
}

// Handler answers GET /watch.
type Handler struct {
	engine *core.Engine
	o      Options

	ctx    context.Context // of all that watchers read from the store
	cancel context.CancelFunc
	wg     sync.WaitGroup // a connection's goroutines, and the pacer

	batches sync.Pool // *batch

	mu        sync.Mutex
	sessions  map[session]struct{}
	watchers  int // places that are taken
	strangers int
	pacing    bool
	closing   bool
}

// session is one open watch of either kind.
type session interface {
	tick(now time.Time)          // called by the pacer, often
	end(code int, reason string) // does not wait
	abort()                      // without any courtesy
}

var _ http.Handler = (*Handler)(nil)

// New returns a Handler on top of an Engine.
func New(engine *core.Engine, o Options) *Handler {
	if o.Authenticate == nil {
		o.Authenticate = func(*http.Request) (*core.Subject, core.Budget, error) {
			return nil, core.Budget{Allowed: true}, core.Errorf(core.ErrUnauthenticated, "Invalid JWT")
		}
	}
	if o.Verify == nil {
		o.Verify = func(context.Context, string, string) (*core.Subject, core.Budget, error) {
			return nil, core.Budget{}, core.Errorf(core.ErrUnauthenticated, "Invalid JWT")
		}
	}
	if o.Alike == nil {
		o.Alike = core.Alike
	}
	if o.Take == nil {
		o.Take = func(context.Context, string, int) core.Budget { return core.Budget{Allowed: true} }
	}
	if o.Await == nil {
		o.Await = func(context.Context, string) (core.Budget, error) { return core.Budget{Allowed: true}, nil }
	}
	if o.Failed == nil {
		o.Failed = func(context.Context, string) {}
	}
	if o.Stray == nil {
		o.Stray = func(*http.Request) error { return nil }
	}
	if o.Address == nil {
		o.Address = addressOf
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = MaxConnections
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h := &Handler{engine: engine, o: o, sessions: map[session]struct{}{}}
	h.batches.New = func() any { return &batch{frames: make([]byte, 0, 4<<10)} }
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// ServeHTTP opens a watch. A WebSocket goes on after it has returned; a stream of events ends with it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		h.refuse(w, core.Errorf(core.ErrMethod, "A watch is a GET"))
		return
	}
	subject, err := h.authenticate(w, r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	a, err := parseRequest(r)
	if err == nil {
		err = checkOrigin(r, h.o.AllowOrigins)
	}
	if err == nil && subject == nil && a.min != nil {
		err = core.Errorf(core.ErrMalformed, "%s stands beside a token in the request", wire.HeaderMinRevision)
	}
	var p *place
	if err == nil {
		p, err = h.enter(subject == nil)
	}
	if err != nil {
		h.refuse(w, err)
		return
	}
	caller := core.Caller{
		Subject: subject, Environment: a.environment, Address: strings.Clone(h.o.Address(r)), RequestID: w.Header().Get(wire.HeaderRequestID),
	}
	if a.min != nil {
		err = h.engine.Reach(r.Context(), *a.min)
	}
	switch {
	case err != nil:
	case a.upgrade:
		err = h.serveSocket(w, r, p, caller, a.subscribe)
	default:
		err = h.serveEvents(w, r, p, caller, a.subscribe)
	}
	if err != nil {
		h.leave(p, nil)
		h.refuse(w, err)
	}
}

// add makes an open session known to the pacer and to Shutdown.
func (h *Handler) add(s session) {
	h.mu.Lock()
	h.sessions[s] = struct{}{}
	closing := h.closing
	if !h.pacing {
		h.pacing = true
		h.wg.Go(h.pace)
	}
	h.mu.Unlock()
	if closing {
		s.end(wire.CloseGoingAway, goingAway)
	}
}

const goingAway = "server is going away"

// Shutdown lets nobody in any more, tells every watcher that the server is going away, and waits until all are gone.
// When ctx ends it cuts those off that remain.
func (h *Handler) Shutdown(ctx context.Context) error {
	for _, s := range h.shut() {
		s.end(wire.CloseGoingAway, goingAway)
	}
	done := make(chan struct{})
	go func() {
		h.wg.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
		h.cancel()
		for _, s := range h.shut() {
			s.abort()
		}
		<-done
	}
	h.cancel()
	return err
}

// shut closes the door and returns who is inside.
func (h *Handler) shut() []session {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closing = true
	all := make([]session, 0, len(h.sessions))
	for s := range h.sessions {
		all = append(all, s)
	}
	return all
}

// fail logs an error that is nobody's doing but ours.
func (h *Handler) fail(requestID string, err error) {
	if errors.Is(core.KindOf(err), core.ErrInternal) && !errors.Is(err, context.Canceled) {
		h.o.Logger.Error("watch failed", "requestId", requestID, "error", err)
	}
}
