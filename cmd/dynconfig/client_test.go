package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/core"
)

// serving starts a server in this process that ends with the test, and returns a client for a user of it.
func serving(t *testing.T, args ...string) (s *Server, as func(user string) *client.Client) {
	t.Helper()
	s, stop, err := startServer(t.TempDir(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return s, func(user string) *client.Client { return clientOf(t, s.URL, issued(t, s, user)) }
}

func issued(t *testing.T, s *Server, user string) string {
	t.Helper()
	token, err := s.Issuer.Issue(user, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestTheClientsCallsMeanWhatTheServerDoes(t *testing.T) {
	t.Parallel()
	_, as := serving(t, "--backend", "memory")
	c, ctx := as("admin-user"), t.Context()
	raw := json.RawMessage(`{"z": 1, "a": [1e400, "<\u0000é>"]}`)
	w, err := c.Put(ctx, "team/app.x:y@z", raw, client.WriteOptions{
		IfAbsent: true, TTL: time.Hour, ACLs: &client.ACL{Read: []string{"web"}, Write: []string{}},
	})
	if err != nil || w.Version != 1 || !w.Created || w.Revision == "" {
		t.Fatalf("put: %+v, %v", w, err)
	}
	item, err := c.Get(ctx, "team/app.x:y@z", client.GetOptions{Metadata: true, Strong: true, MinRevision: w.Revision})
	if err != nil || string(item.Value) != string(raw) || item.TTL == nil || *item.TTL != 3600 {
		t.Errorf("get: %+v, %v", item, err)
	}
	if d := cmp.Diff(&client.ACL{Read: []string{"web"}, Write: []string{}}, item.ACLs); d != "" {
		t.Errorf("rules (-want +got):\n%s", d)
	}
	if w, err = c.Patch(ctx, "team/app.x:y@z", nil, client.WriteOptions{ClearTTL: true, IfVersion: 1}); err != nil || w.Version != 2 || w.Created {
		t.Errorf("patch: %+v, %v", w, err)
	}
	many, err := c.GetMany(ctx, "team/app.x:y@z", "absent")
	if err != nil || len(many.Items) != 1 || many.Items[0].Version != 2 {
		t.Errorf("get many: %+v, %v", many, err)
	}
	two := int64(2)
	for name, got := range map[string]struct{ err, want error }{
		"absent":          {problemOf(c.Get(ctx, "absent", client.GetOptions{})), core.ErrNotFound},
		"a//b":            {problemOf(c.Get(ctx, "a//b", client.GetOptions{})), core.ErrInvalid},
		"a/../b":          {problemOf(c.Put(ctx, "a/../b", 1, client.WriteOptions{})), core.ErrInvalid},
		"another version": {problemOf(c.Put(ctx, "team/app.x:y@z", 1, client.WriteOptions{IfVersion: 1})), core.ErrPrecondition},
		"present":         {problemOf(c.Put(ctx, "team/app.x:y@z", 1, client.WriteOptions{IfAbsent: true})), core.ErrPrecondition},
		"too large":       {problemOf(c.Put(ctx, "big", strings.Repeat("x", core.MaxValue), client.WriteOptions{})), core.ErrTooLarge},
		"not modified":    {problemOf(c.Get(ctx, "team/app.x:y@z", client.GetOptions{SinceVersion: &two})), client.ErrNotModified},
		"denied":          {problemOf(as("mallory").Get(ctx, "team/app.x:y@z", client.GetOptions{})), core.ErrForbidden},
		"no such token":   {problemOf(clientOf(t, c.Server(), "x").Get(ctx, "a", client.GetOptions{})), core.ErrUnauthenticated},
		"no environment":  {problemOf(c.In("nowhere").Get(ctx, "a", client.GetOptions{})), core.ErrNotFound},
		"another's write": {problemOf(as("web").Delete(ctx, "team/app.x:y@z", client.DeleteOptions{})), core.ErrForbidden},
	} {
		if !errors.Is(got.err, got.want) {
			t.Errorf("%s: got %v, want %v", name, got.err, got.want)
		}
	}
	for n := range 25 {
		if _, err := c.Put(ctx, fmt.Sprintf("list.%02d", n), n, client.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for item, err := range c.List(ctx, client.ListOptions{Namespace: "list", Values: true, PageSize: 10}) {
		if err != nil || item.Key != fmt.Sprintf("list.%02d", n) || string(item.Value) != fmt.Sprint(n) {
			t.Fatalf("list: %+v, %v", item, err)
		}
		n++
	}
	if n != 25 {
		t.Errorf("%d keys listed, want 25", n)
	}
	if _, err := c.Delete(ctx, "team/app.x:y@z", client.DeleteOptions{IfVersion: 2}); err != nil {
		t.Error(err)
	}
	if h, err := c.Health(ctx); err != nil || h.Status == core.Unhealthy {
		t.Errorf("health: %+v, %v", h, err)
	}
	if v, err := c.Version(ctx); err != nil || v.Backend != "memory" || v.Limits.MaxValueBytes != core.MaxValue {
		t.Errorf("version: %+v, %v", v, err)
	}
}

func problemOf[T any](_ T, err error) error { return err }

func TestRepeatingAWriteUnderItsKeyWritesNothingTwice(t *testing.T) {
	t.Parallel()
	_, as := serving(t, "--backend", "memory")
	c := as("admin-user")
	for range 3 {
		if w, err := c.Put(t.Context(), "a", 1, client.WriteOptions{IdempotencyKey: "k1"}); err != nil || w.Version != 1 {
			t.Errorf("got %+v, %v, want version 1", w, err)
		}
	}
	if _, err := c.Put(t.Context(), "a", 2, client.WriteOptions{IdempotencyKey: "k1"}); !errors.Is(err, core.ErrInvalid) {
		t.Errorf("another request under the key: %v, want %v", err, core.ErrInvalid)
	}
}

// watched runs a mirror of app.* and other.*, and returns it with the changes of app.*, once it is ready.
func watched(t *testing.T, c *client.Client) (*client.Mirror, <-chan client.Change) {
	t.Helper()
	m, err := c.NewMirror("app.*", "other.*")
	if err != nil {
		t.Fatal(err)
	}
	changes := make(chan client.Change, 100)
	if _, err := m.OnChange("app.*", func(c client.Change) { changes <- c }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the mirror ended with %v", err)
		}
	})
	<-m.Ready()
	return m, changes
}

func TestAMirrorIsRightAfterItsServersHistoryIsLost(t *testing.T) {
	t.Parallel()
	dir, front := t.TempDir(), newRelay(t)
	first, stop, err := startServer(dir, "--backend", "memory")
	if err != nil {
		t.Fatal(err)
	}
	front.to(first.URL)
	c := clientOf(t, front.URL, issued(t, first, "admin-user"))
	for key, value := range map[string]int{"app.same": 1, "app.gone": 2, "app.other": 3} {
		if _, err := c.Put(t.Context(), key, value, client.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	m, changes := watched(t, c)
	for range 3 {
		<-changes
	}
	front.to("") // another server may get its port
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if v, err := client.Decode[int](m, "app.gone"); v != 2 || err != nil {
		t.Errorf("without a server app.gone is %d, %v; want what it was", v, err)
	}

	second, stop, err := startServer(dir, "--backend", "memory") // with the same issuer, but an empty store
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stop() }()
	direct := clientOf(t, second.URL, issued(t, second, "admin-user"))
	for key, value := range map[string]int{"app.same": 1, "app.other": 4, "app.new": 5} {
		if _, err := direct.Put(t.Context(), key, value, client.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	front.to(second.URL)
	got := map[string]bool{}
	for range 3 {
		c := <-changes
		got[fmt.Sprint(c.Key, " ", c.Was != nil, " ", c.Is != nil)] = true
	}
	want := map[string]bool{"app.gone true false": true, "app.other true true": true, "app.new false true": true}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("changes: key, was, is (-want +got):\n%s", d)
	}
	if _, ok := m.Get("app.gone"); ok {
		t.Error("app.gone is still there")
	}
}

func TestAMirrorForgetsWhatExpiresAndWhatMayNoLongerBeRead(t *testing.T) {
	t.Parallel()
	_, as := serving(t, "--backend", "memory")
	admin, ctx := as("admin-user"), t.Context()
	acls := client.ACL{Read: []string{"web"}}
	for _, key := range []string{"app.brief", "app.secret", "other.key"} {
		if _, err := admin.Put(ctx, key, 1, client.WriteOptions{ACLs: &acls}); err != nil {
			t.Fatal(err)
		}
	}
	m, changes := watched(t, as("web"))
	wait := func(key string, is bool) {
		t.Helper()
		for c := range changes {
			if c.Key == key && (c.Is != nil) == is {
				break
			}
		}
		if _, ok := m.Get(key); ok != is {
			t.Errorf("%s is there: %v, want %v", key, ok, is)
		}
	}
	wait("app.brief", true)
	if _, err := admin.Patch(ctx, "app.brief", nil, client.WriteOptions{TTL: time.Second}); err != nil {
		t.Fatal(err)
	}
	wait("app.brief", false)
	if _, err := admin.Patch(ctx, "app.secret", nil, client.WriteOptions{ACLs: &client.ACL{Read: []string{}}}); err != nil {
		t.Fatal(err)
	}
	wait("app.secret", false)
	if _, err := admin.Patch(ctx, "app.secret", nil, client.WriteOptions{ACLs: &acls}); err != nil {
		t.Fatal(err)
	}
	wait("app.secret", true)
	if _, err := admin.PutNamespace(ctx, "app", client.WriteOptions{ACLs: &acls}); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Put(ctx, "app.inherited", 1, client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	wait("app.inherited", true)
	if _, err := admin.DeleteNamespace(ctx, "app", client.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	wait("app.inherited", false)
	if _, ok := m.Get("other.key"); !ok {
		t.Error("other.key went with the rules of app")
	}
}

func TestAHeldGetIsAnsweredByTheNextChange(t *testing.T) {
	t.Parallel()
	_, as := serving(t, "--backend", "memory")
	c, ctx := as("admin-user"), t.Context()
	zero, got := int64(0), make(chan client.Item, 1)
	go func() {
		item, err := c.Get(ctx, "app.a", client.GetOptions{SinceVersion: &zero, Wait: time.Minute})
		if err != nil {
			t.Error(err)
		}
		got <- item
	}()
	if _, err := c.Put(ctx, "app.a", "here", client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if item := <-got; string(item.Value) != `"here"` {
		t.Errorf("got %+v", item)
	}
}
