package rest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/transport/rest"
)

// fuzzed is a handler and what it answers to a request line that is taken as it is.
func fuzzed(f *testing.F) func(t *testing.T, method, path, query, body string) *httptest.ResponseRecorder {
	f.Helper()
	engine, err := core.Open(f.Context(), memory.Open(memory.Options{}), core.Options{Authorizer: everything{}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(running(f, engine))
	h := rest.New(engine, rest.Options{Authenticate: bearer})
	return func(t *testing.T, method, path, query, body string) *httptest.ResponseRecorder {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return nil
		}
		u.RawQuery = query
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if query != "" { // perhaps a held read: break it off
			time.AfterFunc(20*time.Millisecond, cancel)
		}
		r := (&http.Request{Method: method, URL: u, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1}).WithContext(ctx)
		r.Header.Set("Authorization", "Bearer admin-user")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
}

func FuzzAKeyInAPathIsAnsweredUnderItsOwnName(f *testing.F) {
	for _, s := range []string{"a", "a%2Fb", "a//b", "a/../b", "%2e%2e", "a%25", "a/", "*", "é", "a?b", "%zz"} {
		f.Add(s)
	}
	do := fuzzed(f)
	f.Fuzz(func(t *testing.T, key string) {
		name, err := url.PathUnescape(key)
		if err != nil || strings.Contains(key, "?") {
			return
		}
		w := do(t, "PUT", "/keys/"+key, "", `{"value":1}`)
		switch {
		case w == nil:
		case core.CheckName(name) != nil:
			if w.Code != http.StatusUnprocessableEntity {
				t.Fatalf("%q: got %d, want 422", key, w.Code)
			}
		default:
			var got struct{ Key string }
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Key != name || w.Code != 201 && w.Code != 200 {
				t.Fatalf("%q: got %d %s", key, w.Code, w.Body)
			}
		}
	})
}

func FuzzQueriesAreTakenOrRefused(f *testing.F) {
	for _, s := range []string{"env=default", "metadata=true&since_version=1", "wait=1s&since_version=1", "key=a&key=b", "limit=10&cursor=x", "%zz", "a;b", "&&="} {
		f.Add(s)
	}
	do := fuzzed(f)
	f.Fuzz(func(t *testing.T, query string) {
		do(t, "PUT", "/keys/a", "", `{"value":1}`)
		for _, path := range []string{"/keys/a", "/keys", "/namespaces"} {
			if w := do(t, "GET", path, query, ""); !slices.Contains([]int{200, 304, 400, 404, 422, 503}, w.Code) {
				t.Fatalf("%s?%s: got %d %s", path, query, w.Code, w.Body)
			}
		}
	})
}

func FuzzBodiesAreTakenWholeOrRefused(f *testing.F) {
	for _, s := range []string{
		`{"value":1}`, `{"value":{"a":[1,2,"\u0000"]},"ttl":60,"acls":{"read":["*"],"write":[],"admin":null}}`, `{"value":1,"value":2}`, `{"Value":1}`, `{`, `[]`,
		`{"value":1e999,"ttl":null}`, "{\"value\":\"\xff\"}",
	} {
		f.Add(s)
	}
	do := fuzzed(f)
	f.Fuzz(func(t *testing.T, body string) {
		w := do(t, "PUT", "/keys/a", "", body)
		if !slices.Contains([]int{200, 201, 400, 413, 422}, w.Code) {
			t.Fatalf("%q: got %d %s", body, w.Code, w.Body)
		}
		if w.Code >= 400 {
			return
		}
		var sent struct {
			Value json.RawMessage `json:"value"`
		}
		if err := json.Unmarshal([]byte(body), &sent); err != nil {
			t.Fatalf("%q was taken, but %v", body, err)
		}
		if got := do(t, "GET", "/keys/a", "", ""); !bytes.Contains(got.Body.Bytes(), append([]byte(`"value":`), sent.Value...)) {
			t.Fatalf("%q: came back as %s", body, got.Body)
		}
	})
}
