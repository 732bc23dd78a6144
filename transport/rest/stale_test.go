package rest_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/transport/rest"
)

// dead is a store that does not answer while it is stopped.
type dead struct {
	core.Store
	stopped atomic.Bool
}

func (d *dead) answer() error {
	if d.stopped.Load() {
		return core.Errorf(core.ErrUnavailable, "connection refused")
	}
	return nil
}

func (d *dead) Commit(ctx context.Context, txn core.Txn) (core.Commit, error) {
	if err := d.answer(); err != nil {
		return core.Commit{}, err
	}
	return d.Store.Commit(ctx, txn)
}

func (d *dead) Sync(ctx context.Context) (core.Revision, error) {
	if err := d.answer(); err != nil {
		return 0, err
	}
	return d.Store.Sync(ctx)
}

func (d *dead) Status(ctx context.Context) (core.Status, error) {
	if err := d.answer(); err != nil {
		return core.Status{}, err
	}
	return d.Store.Status(ctx)
}

// adminAlone is a policy that lets admin-user do everything, and others nothing.
type adminAlone struct{}

func (adminAlone) Authorize(_ context.Context, who *core.Subject, _ core.Access) (core.Decision, error) {
	return core.Decision{Allow: who.Username == "admin-user"}, nil
}
func (adminAlone) Generation() uint64 { return 1 }

func TestAnswersSayHowStaleTheyAreAndBeyondMaxStaleThereAreNone(t *testing.T) {
	for _, hide := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			backend := memory.Open(memory.Options{})
			store := &dead{Store: backend.Store}
			backend.Store, backend.Bus, backend.Limits.Shared = store, nil, true
			engine, err := core.Open(t.Context(), backend, core.Options{Authorizer: adminAlone{}, MaxStale: 20 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			defer running(t, engine)()
			s := rest.New(engine, rest.Options{Authenticate: bearer, HideDenied: hide})
			do := func(method, path, body, who string, headers ...string) *httptest.ResponseRecorder {
				r := httptest.NewRequest(method, path, strings.NewReader(body))
				r.Header.Set("Authorization", "Bearer "+who)
				for i := 0; i+1 < len(headers); i += 2 {
					r.Header.Set(headers[i], headers[i+1])
				}
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				return w
			}
			do("PUT", "/keys/k", `{"value":1}`, "admin-user")
			denied := 403
			if hide {
				denied = 404
			}
			reads := []struct {
				status    int
				path, who string
				headers   []string
			}{
				{200, "/keys/k", "admin-user", nil},
				{304, "/keys/k", "admin-user", []string{"If-None-Match", `"1"`}},
				{304, "/keys/k", "admin-user", []string{"If-None-Match", `"1", "2"`}},
				{304, "/keys/nope?since_version=0&wait=1", "admin-user", nil},
				{404, "/keys/nope", "admin-user", nil},
				{404, "/keys/nope", "bob", nil},
				{denied, "/keys/k", "bob", nil},
				{denied, "/keys/k?since_version=1&wait=1", "bob", nil},
				{404, "/namespaces/nope", "admin-user", nil},
				{200, "/keys", "admin-user", nil},
				{403, "/keys", "bob", nil},
				{200, "/namespaces", "admin-user", nil},
				{200, "/keys?key=nope", "bob", nil},
			}
			for _, at := range []struct {
				after  time.Duration
				marked bool
				status int // 0: the read's own
			}{{0, false, 0}, {10 * time.Second, true, 0}, {20 * time.Second, false, 503}} {
				store.stopped.Store(at.after > 0)
				time.Sleep(at.after)
				for _, read := range reads {
					want := read.status
					if at.status != 0 {
						want = at.status
					}
					a := do("GET", read.path, "", read.who, read.headers...)
					if stale := a.Header().Get("X-DynConfig-Stale"); a.Code != want || at.marked != (stale != "") || (want == 503) != (a.Header().Get("Retry-After") != "") {
						t.Errorf("%v %s as %s, away for %v: got %d %v, want %d", hide, read.path, read.who, at.after, a.Code, a.Header(), want)
					}
				}
			}
			if a := do("PUT", "/keys/k", `{"value":2}`, "admin-user"); a.Code != 503 || !strings.Contains(a.Body.String(), `"The store is away; try again"`) {
				t.Errorf("a write was answered %d %s", a.Code, a.Body)
			}
		})
	}
}
