package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// said is what one request said.
type said struct{ Method, Target, Body, Match, None, Env, Token, Key string }

// answering starts a server that answers the nth request (from 0) with answer, and keeps what was said.
func answering(t *testing.T, o client.Options, answer func(n int, w http.ResponseWriter)) (*client.Client, func() []said) {
	t.Helper()
	var mu sync.Mutex
	var all []said
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, said{
			r.Method, r.RequestURI, string(body), r.Header.Get("If-Match"), r.Header.Get("If-None-Match"),
			r.Header.Get(wire.HeaderEnvironment), r.Header.Get("Authorization"), r.Header.Get(wire.HeaderIdempotency),
		})
		answer(len(all)-1, w)
	}))
	t.Cleanup(s.Close)
	o.HTTPClient, o.RetryDelay = s.Client(), time.Millisecond
	c, err := client.New(s.URL+"/", o)
	if err != nil {
		t.Fatal(err)
	}
	return c, func() []said {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

func fail(w http.ResponseWriter, err error) {
	p := wire.ProblemOf(err, "r1")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

func TestErrorsAreTheCoresKindsAgain(t *testing.T) {
	t.Parallel()
	for _, kind := range core.Kinds() {
		t.Run(kind.Error(), func(t *testing.T) {
			t.Parallel()
			c, _ := answering(t, client.Options{Retry: -1}, func(_ int, w http.ResponseWriter) {
				fail(w, &core.Error{Kind: kind, Detail: "Said so", Fields: []core.FieldError{{Path: "p", Reason: "r"}}})
			})
			_, err := c.Get(t.Context(), "a", client.GetOptions{})
			var e *core.Error
			if !errors.Is(err, kind) || !errors.As(err, &e) {
				t.Fatalf("got %v, want %v", err, kind)
			}
			if !errors.Is(kind, core.ErrInternal) && (e.Detail != "Said so" || len(e.Fields) != 1) {
				t.Errorf("got %+v, want the server's sentence and fields", e)
			}
		})
	}
}

func TestAWriteOfUnknownOutcomeIsRepeatedUnderOneIdempotencyKey(t *testing.T) {
	t.Parallel()
	c, all := answering(t, client.Options{}, func(n int, w http.ResponseWriter) {
		switch n {
		case 0:
			panic(http.ErrAbortHandler) // the connection breaks
		case 1:
			fail(w, core.Errorf(core.ErrConflict, "In flight"))
		case 2:
			w.WriteHeader(http.StatusBadGateway)
		case 3:
			fail(w, core.Errorf(core.ErrRateLimited, "Slowly"))
		default:
			w.Header().Set(wire.HeaderRevision, "e:7")
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"key":"a","version":3,"lastModified":"2026-01-02T03:04:05Z"}`)
		}
	})
	w, err := c.Put(t.Context(), "a", 1, client.WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if w.Version != 3 || !w.Created || w.Revision != "e:7" {
		t.Errorf("got %+v", w)
	}
	if len(all()) != 5 {
		t.Fatalf("asked %d times, want 5", len(all()))
	}
	for _, s := range all() {
		if s.Key == "" || s.Key != all()[0].Key {
			t.Errorf("repeated under %q, first under %q", s.Key, all()[0].Key)
		}
	}
	if _, err := c.Put(t.Context(), "a", 1, client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if all()[5].Key == all()[0].Key {
		t.Error("another write has the same key")
	}
}

func TestALostRaceIsNotRepeated(t *testing.T) {
	t.Parallel()
	c, all := answering(t, client.Options{}, func(_ int, w http.ResponseWriter) { fail(w, core.ErrConflict) })
	if _, err := c.Put(t.Context(), "a", 1, client.WriteOptions{}); !errors.Is(err, core.ErrConflict) || len(all()) != 1 {
		t.Errorf("got %v after %d tries, want %v after one", err, len(all()), core.ErrConflict)
	}
}

func TestRetryAfterIsHonouredOrTheErrorReturned(t *testing.T) {
	t.Parallel()
	c, all := answering(t, client.Options{Retry: 10 * time.Second}, func(_ int, w http.ResponseWriter) {
		w.Header().Set("Retry-After", "60")
		fail(w, core.ErrRateLimited)
	})
	_, err := c.Get(t.Context(), "a", client.GetOptions{})
	var e *core.Error
	if !errors.As(err, &e) || e.Retry != time.Minute || len(all()) != 1 {
		t.Errorf("got %+v after %d tries, want a minute to wait after one", err, len(all()))
	}
}

func TestRequestsSayWhatTheContractSays(t *testing.T) {
	t.Parallel()
	c, all := answering(t, client.Options{Environment: "stage", Token: client.StaticToken("jwt")}, func(n int, w http.ResponseWriter) {
		if deletes := []int{6, 8}; slices.Contains(deletes, n) {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		fmt.Fprint(w, everyMember)
	})
	zero := int64(0)
	ctx := t.Context()
	raw := json.RawMessage(`{"b": 12345678901234567890123, "a":"<\u0000>"}`)
	for _, call := range []func() error{
		func() error { _, err := c.Get(ctx, "team/app:x@y.z", client.GetOptions{}); return err },
		func() error {
			_, err := c.Get(ctx, "a/../b", client.GetOptions{SinceVersion: &zero, Wait: time.Second, Metadata: true, Strong: true})
			return err
		},
		func() error { _, err := c.GetMany(ctx, "a", "b/c"); return err },
		func() error { _, err := c.Put(ctx, "a//b", raw, client.WriteOptions{IfVersion: 3}); return err },
		func() error {
			_, err := c.Put(ctx, "a b?", "<&>", client.WriteOptions{IfAbsent: true, TTL: time.Minute, ACLs: &client.ACL{Read: []string{}, Write: []string{"x*"}}})
			return err
		},
		func() error {
			_, err := c.Patch(ctx, "a", nil, client.WriteOptions{ClearTTL: true, ClearACLs: true})
			return err
		},
		func() error {
			_, err := c.Delete(ctx, "a", client.DeleteOptions{IfVersion: 2, Purge: true})
			return err
		},
		func() error { _, err := c.PutNamespace(ctx, "*", client.WriteOptions{ACLs: &client.ACL{}}); return err },
		func() error { _, err := c.DeleteNamespace(ctx, "a.b", client.DeleteOptions{}); return err },
		func() error { _, err := c.Namespace(ctx, "a/b"); return err },
	} {
		if err := call(); err != nil {
			t.Error(err)
		}
	}
	want := []said{
		{Method: "GET", Target: "/keys/team/app:x@y.z"},
		{Method: "GET", Target: "/keys/a%2F%2E%2E%2Fb?consistency=strong&metadata=true&since_version=0&wait=1s"},
		{Method: "GET", Target: "/keys?key=a&key=b%2Fc"},
		{Method: "PUT", Target: "/keys/a%2F%2Fb", Body: `{"value":{"b": 12345678901234567890123, "a":"<\u0000>"}}`, Match: `"3"`},
		{Method: "PUT", Target: "/keys/a%20b%3F", Body: `{"value":"<&>","ttl":60,"acls":{"read":[],"write":["x*"]}}`, None: "*"},
		{Method: "PATCH", Target: "/keys/a", Body: `{"ttl":null,"acls":null}`},
		{Method: "DELETE", Target: "/keys/a?purge=true", Match: `"2"`},
		{Method: "PUT", Target: "/namespaces/%2A", Body: `{"acls":{}}`},
		{Method: "DELETE", Target: "/namespaces/a.b"},
		{Method: "GET", Target: "/namespaces/a/b"},
	}
	got := all()
	for i := range got {
		if got[i].Env != "stage" || got[i].Token != "Bearer jwt" || (got[i].Key == "") != (got[i].Method == "GET") {
			t.Errorf("environment, token or idempotency key are wrong: %+v", got[i])
		}
		got[i].Env, got[i].Token, got[i].Key = "", "", ""
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestWhatCannotBeSentIsRefusedHere(t *testing.T) {
	t.Parallel()
	c, all := answering(t, client.Options{}, func(_ int, _ http.ResponseWriter) {})
	ctx := t.Context()
	for name, err := range map[string]error{
		"an empty key":     second(c.Get(ctx, "", client.GetOptions{})),
		"half JSON":        second(c.Put(ctx, "a", json.RawMessage(`{"a":`), client.WriteOptions{})),
		"a value and more": second(c.Put(ctx, "a", json.RawMessage(`1,"acls":{}`), client.WriteOptions{})),
		"half a second":    second(c.Put(ctx, "a", 1, client.WriteOptions{TTL: 1500 * time.Millisecond})),
		"a function":       second(c.Put(ctx, "a", func() {}, client.WriteOptions{})),
	} {
		if !errors.Is(err, core.ErrInvalid) && !errors.Is(err, core.ErrMalformed) || len(all()) > 0 {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, address := range []string{"", "127.0.0.1:8080", "ftp://x", "http://", "http://u:p@h", "http://h?q=1", ":"} {
		if _, err := client.New(address, client.Options{}); err == nil {
			t.Errorf("%q passes for an address", address)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestNotModifiedIsAnErrorOfItsOwn(t *testing.T) {
	t.Parallel()
	c, _ := answering(t, client.Options{}, func(_ int, w http.ResponseWriter) { w.WriteHeader(http.StatusNotModified) })
	if _, err := c.Get(t.Context(), "a", client.GetOptions{}); !errors.Is(err, client.ErrNotModified) {
		t.Errorf("got %v, want %v", err, client.ErrNotModified)
	}
}

func TestAListFollowsItsCursorsToTheEnd(t *testing.T) {
	t.Parallel()
	c, all := answering(t, client.Options{}, func(n int, w http.ResponseWriter) {
		switch n {
		case 0:
			fmt.Fprint(w, `{"keys":["a","b"],"total":3,"nextCursor":"x/y=","revision":"e:1"}`)
		case 1: // a page may be short, even empty, while there is a cursor
			fmt.Fprint(w, `{"keys":[],"total":3,"nextCursor":"z","revision":"e:1"}`)
		default:
			fmt.Fprint(w, `{"keys":["c"],"total":3,"revision":"e:2"}`)
		}
	})
	var keys []string
	for item, err := range c.List(t.Context(), client.ListOptions{Namespace: "app", PageSize: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, item.Key)
	}
	if d := cmp.Diff([]string{"a", "b", "c"}, keys); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got, want := all()[1].Target, "/keys?cursor=x%2Fy%3D&limit=2&namespace=app"; got != want {
		t.Errorf("second page from %s, want %s", got, want)
	}
}

func TestAnUnhealthyServerIsAnAnswer(t *testing.T) {
	t.Parallel()
	c, _ := answering(t, client.Options{}, func(_ int, w http.ResponseWriter) {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"status":"unhealthy","components":{"store":"unhealthy"}}`)
	})
	if h, err := c.Health(t.Context()); err != nil || h.Status != "unhealthy" || h.Components["store"] != "unhealthy" {
		t.Errorf("got %+v, %v", h, err)
	}
}
