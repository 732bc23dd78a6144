package rest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/conformance"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/transport/rest"
)

func TestMain(m *testing.M) { conformance.VerifyMain(m) }

// server is a DynConfig over a memory backend, reached over TCP.
type server struct {
	t      *testing.T
	url    string
	rest   *rest.Server
	engine *core.Engine
}

// start runs a server with the shipped policy; change may alter its options, wrap its store.
func start(t *testing.T, change func(*rest.Options), wrap func(core.Store) core.Store) *server {
	t.Helper()
	backend := memory.Open(memory.Options{})
	if wrap != nil {
		backend.Store = wrap(backend.Store)
	}
	rules, err := policy.New(t.Context(), policy.Options{Admins: []string{"admin-user"}})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := core.Open(t.Context(), backend, core.Options{Authorizer: rules})
	if err != nil {
		t.Fatal(err)
	}
	stop := running(t, engine)
	o := rest.Options{Authenticate: bearer, Version: "1.2.3", Backend: "memory"}
	if change != nil {
		change(&o)
	}
	handler := rest.New(engine, o)
	web := httptest.NewServer(handler)
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
		stop()
		_ = backend.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return &server{t: t, url: web.URL, rest: handler, engine: engine}
}

// running runs an engine until stop, which waits for its end.
func running(t testing.TB, engine *core.Engine) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- engine.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("engine ended with %v", err)
		}
	}
}

// bearer takes the token for the username.
func bearer(r *http.Request) (*core.Subject, core.Budget, error) {
	name, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	budget := core.Budget{Allowed: true, Limit: 1000, Remaining: 999, Reset: 60_000_000}
	switch {
	case !ok:
		return nil, core.Budget{}, core.Errorf(core.ErrUnauthenticated, "Invalid JWT")
	case name == "tired":
		e := core.Errorf(core.ErrRateLimited, "Exceed 1000 req/min")
		e.Retry = 60_000_000
		return nil, budget, e
	}
	return &core.Subject{Username: name}, budget, nil
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// json reads the body's members.
func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
	return m
}

// do sends a request as admin-user, with headers as name, value, name, value; "as" is another user, "" for none.
func (s *server) do(method, path, body string, headers ...string) answer {
	s.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, reader)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer admin-user")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if len(body) > 1<<20 { // what the server does not read is not sent: its answer would race with the end of the connection
		r.Header.Set("Expect", "100-continue")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		switch {
		case headers[i] != "as":
			r.Header.Add(headers[i], headers[i+1])
		case headers[i+1] == "":
			r.Header.Del("Authorization")
		default:
			r.Header.Set("Authorization", "Bearer "+headers[i+1])
		}
	}
	return s.send(r)
}

func (s *server) send(r *http.Request) answer {
	s.t.Helper()
	got, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer got.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(got.Body); err != nil {
		s.t.Fatal(err)
	}
	return answer{status: got.StatusCode, header: got.Header, body: b.String()}
}

// want sends a request and demands a status.
func (s *server) want(status int, method, path, body string, headers ...string) answer {
	s.t.Helper()
	a := s.do(method, path, body, headers...)
	if a.status != status {
		s.t.Fatalf("%s %s %s %q: got %d %s, want %d", method, path, clip(body), headers, a.status, clip(a.body), status)
	}
	return a
}

func clip(s string) string {
	if len(s) > 300 {
		return s[:300] + "…"
	}
	return s
}

// away is a store that may be out of reach.
type away struct {
	core.Store
	gone atomic.Bool
}

func (a *away) Status(ctx context.Context) (core.Status, error) {
	if a.gone.Load() {
		return core.Status{}, core.Errorf(core.ErrUnavailable, "The store is away; try again")
	}
	return a.Store.Status(ctx)
}
