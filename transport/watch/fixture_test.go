package watch

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// fixture is a server on the memory backend, reached through pipes, so that it runs under synctest's clock.
//
// A test's token is "<username>", "<username>/<seconds that it lives>", an hour if it does not say, or that with "/<team>",
// a claim.
type fixture struct {
	t       *testing.T
	handler *Handler
	engine  *core.Engine
	pipes   listener
	rights  *rights
	client  *http.Client
	budget  map[string]int // requests left, by principal; absent: no limit
	failed  map[string]int // failed authentications, by address
	gone    *atomic.Bool   // whether the key is gone that tokens are signed with
	issued  time.Time
	mu      sync.Mutex
}

// run runs a test with a server that is shut down after it.
func run(t *testing.T, o Options, test func(f *fixture)) {
	t.Helper()
	table := &rights{denied: map[string]bool{}}
	runUnder(t, o, func(*testing.T) core.Authorizer { return table }, func(f *fixture) {
		f.rights = table
		test(f)
	})
}

// runAway is run on a store that others share, until it is stopped.
func runAway(t *testing.T, test func(f *fixture, stopped *atomic.Bool)) {
	t.Helper()
	table, stopped := &rights{denied: map[string]bool{}}, &atomic.Bool{}
	runOn(t, Options{}, func() *core.Backend {
		backend := memory.Open(memory.Options{})
		backend.Store, backend.Bus, backend.Limits.Shared = &deaf{Store: backend.Store, stopped: stopped}, nil, true
		return backend
	}, func(*testing.T) core.Authorizer { return table }, func(f *fixture) {
		f.rights = table
		test(f, stopped)
	})
}

// runUnder is run with an Authorizer of the test's own.
func runUnder(t *testing.T, o Options, authorizer func(t *testing.T) core.Authorizer, test func(f *fixture)) {
	t.Helper()
	runOn(t, o, func() *core.Backend { return memory.Open(memory.Options{}) }, authorizer, test)
}

func runOn(t *testing.T, o Options, open func() *core.Backend, authorizer func(t *testing.T) core.Authorizer, test func(f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{t: t, budget: map[string]int{}, failed: map[string]int{}, gone: &atomic.Bool{}, issued: time.Now()}
		backend := open()
		engine, err := core.Open(t.Context(), backend, core.Options{Authorizer: authorizer(t)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := engine.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("engine: %v", err)
			}
		})
		f.engine = engine
		o.Authenticate, o.Verify, o.Take, o.Await, o.Failed = f.authenticate, f.verified, f.take, f.await, f.fail
		f.handler = New(engine, o)
		pipes := make(listener)
		f.pipes = pipes
		server := &http.Server{Handler: f.handler}
		wg.Go(func() { _ = server.Serve(pipes) })
		transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return pipes.dial(ctx) }}
		f.client = &http.Client{Transport: transport}

		defer func() {
			if err := f.handler.Shutdown(context.Background()); err != nil {
				t.Errorf("shutdown: %v", err)
			}
			transport.CloseIdleConnections()
			_ = server.Close()
			cancel()
			wg.Wait()
			if err := backend.Close(); err != nil {
				t.Error(err)
			}
		}()
		test(f)
	})
}

func (f *fixture) authenticate(r *http.Request) (*core.Subject, core.Budget, error) {
	s, err := f.verify(r.Context(), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	if err != nil {
		return nil, core.Budget{}, err
	}
	return s, f.take(r.Context(), s.Username, 1), nil
}

// verified gives every address ten failures.
func (f *fixture) verified(ctx context.Context, token, address string) (*core.Subject, core.Budget, error) {
	s, err := f.verify(ctx, token)
	if !errors.Is(err, core.ErrUnauthenticated) {
		return s, core.Budget{Allowed: true}, err
	}
	if b, err := f.await(ctx, address); err != nil {
		return nil, b, err
	}
	f.fail(ctx, address)
	return nil, core.Budget{Allowed: true, Limit: 10, Remaining: 10 - f.failures(address)}, err
}

func (f *fixture) await(_ context.Context, address string) (core.Budget, error) {
	if f.failures(address) >= 10 {
		return core.Budget{Limit: 10}, core.Errorf(core.ErrRateLimited, "Exceed 10 failed authentications/min")
	}
	return core.Budget{}, nil
}

func (f *fixture) fail(_ context.Context, address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed[address]++
}

func (f *fixture) failures(address string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed[address]
}

// rotate has the key go that tokens were signed with so far.
func (f *fixture) rotate() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone.Store(true)
	f.gone = &atomic.Bool{}
}

func (f *fixture) verify(_ context.Context, token string) (*core.Subject, error) {
	name, rest, _ := strings.Cut(token, "/")
	lives, team, teamed := strings.Cut(rest, "/")
	if lives == "" {
		lives = "3600"
	}
	seconds, err := strconv.Atoi(lives)
	switch {
	case name == "away":
		return nil, core.Errorf(core.ErrUnavailable, "The keys are away")
	case err != nil || name == "" || strings.HasPrefix(name, "bad"):
		return nil, core.Errorf(core.ErrUnauthenticated, "Invalid JWT")
	}
	s := &core.Subject{Username: name, Expires: f.issued.Add(time.Duration(seconds) * time.Second)}
	f.mu.Lock()
	gone := f.gone
	f.mu.Unlock()
	s.Lapses = func(time.Time) bool { return gone.Load() }
	if s.Claims = map[string]any{"exp": json.Number(lives)}; teamed {
		s.Claims["team"] = team
	}
	return s, nil
}

func (f *fixture) take(_ context.Context, principal string, n int) core.Budget {
	f.mu.Lock()
	defer f.mu.Unlock()
	left, limited := f.budget[principal]
	if !limited {
		return core.Budget{Allowed: true}
	}
	b := core.Budget{Allowed: left >= n, Limit: 1000, Remaining: max(left-n, 0), Reset: time.Minute, Retry: 1500 * time.Millisecond}
	if b.Allowed {
		f.budget[principal] = left - n
	}
	return b
}

func (f *fixture) put(key, value string) core.Written {
	f.t.Helper()
	return f.write(core.Write{Op: core.WritePut, Kind: core.KindKey, Name: key, Value: []byte(value)})[0]
}

func (f *fixture) write(writes ...core.Write) []core.Written {
	f.t.Helper()
	c := core.Caller{Subject: &core.Subject{Username: "writer"}, Environment: "default"}
	r, err := f.engine.Write(context.Background(), c, core.Request{Writes: writes})
	if err != nil {
		f.t.Fatal(err)
	}
	return r.Written
}

// rights is an Authorizer that allows everything but what is denied: "<username> <action> <key or pattern>".
type rights struct {
	mu         sync.Mutex
	denied     map[string]bool
	generation uint64
}

func (r *rights) deny(ask string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.denied[ask] = true
	r.generation++
}

func (r *rights) Authorize(_ context.Context, who *core.Subject, a core.Access) (core.Decision, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return core.Decision{Allow: !r.denied[who.Username+" "+string(a.Action)+" "+a.Key], Reason: "the table says no"}, nil
}

func (r *rights) Generation() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.generation
}

// listener hands out the server's ends of pipes.
type listener chan net.Conn

func (l listener) dial(ctx context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l listener) Accept() (net.Conn, error) {
	c, ok := <-l
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (l listener) Close() error {
	close(l)
	return nil
}
func (l listener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// peer is a client's end of a watch.
type peer struct {
	t  *testing.T
	ws *websocket.Conn
}

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func bearer(token string) http.Header { return header("Authorization", "Bearer "+token) }

// dial opens a WebSocket, or returns the answer that refused it.
func (f *fixture) dial(query string, h http.Header) (*peer, *http.Response) {
	f.t.Helper()
	return f.dialWith(query, &websocket.DialOptions{HTTPHeader: h, Subprotocols: elements(h, "Sec-WebSocket-Protocol")})
}

func (f *fixture) dialWith(query string, o *websocket.DialOptions) (*peer, *http.Response) {
	f.t.Helper()
	o.HTTPClient = f.client
	ws, res, err := websocket.Dial(context.Background(), "http://dynconfig.test/watch"+query, o)
	if err != nil {
		if res == nil {
			f.t.Fatalf("dial: %v", err)
		}
		return nil, res
	}
	ws.SetReadLimit(-1)
	return &peer{t: f.t, ws: ws}, res
}

// open opens a WebSocket that must not be refused.
func (f *fixture) open(query, token string) *peer {
	f.t.Helper()
	p, res := f.dial(query, bearer(token))
	if p == nil {
		f.t.Fatalf("refused with %d", res.StatusCode)
	}
	return p
}

func (p *peer) send(text string) {
	p.t.Helper()
	if err := p.ws.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

// read returns the next frame, or the error that ended the connection.
func (p *peer) read() (wire.Frame, error) {
	_, text, err := p.ws.Read(context.Background())
	if err != nil {
		return wire.Frame{}, err
	}
	var f wire.Frame
	if err := json.Unmarshal(text, &f); err != nil {
		p.t.Fatalf("frame %s: %v", text, err)
	}
	return f, nil
}

// next returns the next frame, which must be of an event.
func (p *peer) next(event string) wire.Frame {
	p.t.Helper()
	f, err := p.read()
	if err != nil {
		p.t.Fatalf("got %v, want event %s", err, event)
	}
	if f.Event != event {
		p.t.Fatalf("got %+v, want event %s", f, event)
	}
	return f
}

// until returns the next frame of an event and passes others over.
func (p *peer) until(event string) wire.Frame {
	p.t.Helper()
	for {
		f, err := p.read()
		if err != nil {
			p.t.Fatalf("got %v, want event %s", err, event)
		}
		if f.Event == event {
			return f
		}
	}
}

// closes demands that the connection ends with a code, and returns the reason.
func (p *peer) closes(code int) string {
	p.t.Helper()
	for {
		f, err := p.read()
		if err == nil {
			if f.Event == "bookmark" || f.Event == "token_expiring" {
				continue
			}
			p.t.Fatalf("got %+v, want close code %d", f, code)
		}
		var e websocket.CloseError
		if !errors.As(err, &e) || int(e.Code) != code {
			p.t.Fatalf("got %v, want close code %d", err, code)
		}
		return e.Reason
	}
}

func (p *peer) bye() { _ = p.ws.Close(websocket.StatusNormalClosure, "") }

// problem demands a problem document.
func (f *fixture) problem(res *http.Response, status int) wire.Problem {
	f.t.Helper()
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(res.Body)
	var p wire.Problem
	err := json.Unmarshal(body, &p)
	if res.StatusCode != status || err != nil || p.Status != status || p.Detail == "" || res.Header.Get("Content-Type") != "application/problem+json" {
		f.t.Fatalf("got %d %s %s, want a problem %d", res.StatusCode, res.Header.Get("Content-Type"), body, status)
	}
	return p
}

// get sends a plain GET /watch.
func (f *fixture) get(query string, h http.Header) *http.Response {
	f.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://dynconfig.test/watch"+query, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header = h
	res, err := f.client.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	return res
}
