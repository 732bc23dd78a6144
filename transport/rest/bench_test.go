package rest_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/transport/rest"
)

// sink is a ResponseWriter that keeps nothing: what is measured is the handler.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(status int)      { s.status = status }

// everything is allowed, so that the policy's share is not in the figures.
type everything struct{}

func (everything) Authorize(context.Context, *core.Subject, core.Access) (core.Decision, error) {
	return core.Decision{Allow: true}, nil
}
func (everything) Generation() uint64 { return 1 }

func benchEngine(b *testing.B) *core.Engine {
	b.Helper()
	engine, err := core.Open(b.Context(), memory.Open(memory.Options{}), core.Options{Authorizer: everything{}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(running(b, engine))
	return engine
}

func run(b *testing.B, h http.Handler, method, path, body string, status int) {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), method, path, http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer admin-user")
	r.RemoteAddr = "127.0.0.1:40000"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
		r.ContentLength = int64(len(body))
	}
	b.ReportAllocs()
	for b.Loop() {
		if body != "" {
			r.Body = io.NopCloser(strings.NewReader(body))
		}
		w := sink{header: http.Header{}}
		h.ServeHTTP(&w, r)
		if w.status != status {
			b.Fatalf("status %d, want %d", w.status, status)
		}
	}
}

func benchServer(b *testing.B) http.Handler {
	b.Helper()
	h := rest.New(benchEngine(b), rest.Options{Authenticate: bearer})
	r, _ := http.NewRequestWithContext(b.Context(), "PUT", "/keys/app.ui.theme", bytes.NewReader([]byte(`{"value":{"dark":true}}`)))
	r.Header.Set("Authorization", "Bearer admin-user")
	w := sink{header: http.Header{}}
	if h.ServeHTTP(&w, r); w.status != http.StatusCreated {
		b.Fatalf("status %d", w.status)
	}
	return h
}

func BenchmarkGet(b *testing.B) { run(b, benchServer(b), "GET", "/keys/app.ui.theme", "", 200) }

func BenchmarkGetWithQuery(b *testing.B) {
	run(b, benchServer(b), "GET", "/keys/app.ui.theme?env=default&metadata=true", "", 200)
}

func BenchmarkPut(b *testing.B) {
	run(b, benchServer(b), "PUT", "/keys/app.ui.theme", `{"value":{"dark":true}}`, 200)
}

func BenchmarkList(b *testing.B) { run(b, benchServer(b), "GET", "/keys?limit=100", "", 200) }

// BenchmarkHuma reads the same key through an operation that Huma binds: the parameters of getKey and nothing else, no
// authentication, no limits, no request id.
func BenchmarkHuma(b *testing.B) {
	type input struct {
		Key          string `path:"key"`
		Env          string `query:"env"`
		SinceVersion int64  `query:"since_version"`
		Wait         string `query:"wait"`
		Consistency  string `query:"consistency" enum:"strong"`
		Metadata     bool   `query:"metadata"`
		Environment  string `header:"X-DynConfig-Environment"`
		Ironflow     string `header:"X-Ironflow-Environment"`
		IfNoneMatch  string `header:"If-None-Match"`
		MinRevision  string `header:"X-DynConfig-Min-Revision"`
	}
	type output struct {
		ETag string `header:"ETag"`
		Body []byte
	}
	engine := benchEngine(b)
	caller := core.Caller{Subject: &core.Subject{Username: "admin-user"}, Environment: "default"}
	_, err := engine.Write(b.Context(), caller, core.Request{Writes: []core.Write{
		{Op: core.WritePut, Kind: core.KindKey, Name: "app.ui.theme", Value: []byte(`{"dark":true}`)},
	}})
	if err != nil {
		b.Fatal(err)
	}
	mux := http.NewServeMux()
	api := humago.New(mux, huma.DefaultConfig("bench", "1"))
	huma.Register(api, huma.Operation{Method: http.MethodGet, Path: "/keys/{key}"}, func(ctx context.Context, in *input) (*output, error) {
		it, err := engine.Get(ctx, caller, core.Read{Kind: core.KindKey, Name: in.Key})
		if err != nil {
			return nil, err
		}
		return &output{ETag: `"1"`, Body: it.Entry.Doc.Value}, nil
	})
	run(b, mux, "GET", "/keys/app.ui.theme", "", 200)
}

// BenchmarkEngine is the engine's share of BenchmarkGet.
func BenchmarkEngine(b *testing.B) {
	engine := benchEngine(b)
	caller := core.Caller{Subject: &core.Subject{Username: "admin-user"}, Environment: "default"}
	_, err := engine.Write(b.Context(), caller, core.Request{Writes: []core.Write{
		{Op: core.WritePut, Kind: core.KindKey, Name: "app.ui.theme", Value: []byte(`{"dark":true}`)},
	}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := engine.Get(b.Context(), caller, core.Read{Kind: core.KindKey, Name: "app.ui.theme"}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOverTCP compares a GET with what a handler that does nothing takes, client and connection included.
func BenchmarkOverTCP(b *testing.B) {
	value := []byte(`{"key":"app.ui.theme","value":{"dark":true},"version":1}`)
	bare := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(value)
	})
	for _, c := range []struct {
		name    string
		handler http.Handler
	}{{"bare", bare}, {"get", benchServer(b)}} {
		b.Run(c.name, func(b *testing.B) {
			web := httptest.NewServer(c.handler)
			defer web.Close()
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			defer client.CloseIdleConnections()
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r, _ := http.NewRequestWithContext(b.Context(), "GET", web.URL+"/keys/app.ui.theme", http.NoBody)
					r.Header.Set("Authorization", "Bearer admin-user")
					a, err := client.Do(r)
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, a.Body)
					_ = a.Body.Close()
				}
			})
		})
	}
}
