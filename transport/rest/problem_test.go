package rest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/transport/rest"
	"github.com/dynconfig/dynconfig/wire"
)

// failing is a store whose commits may fail, and whose freshest revision may be out of reach.
type failing struct {
	core.Store
	with atomic.Pointer[error]
	away atomic.Bool
}

func (f *failing) Sync(ctx context.Context) (core.Revision, error) {
	if f.away.Load() {
		return 0, core.Errorf(core.ErrUnavailable, "The store is away; try again")
	}
	return f.Store.Sync(ctx)
}

func (f *failing) Commit(ctx context.Context, txn core.Txn) (core.Commit, error) {
	if err := f.with.Load(); err != nil {
		return core.Commit{}, *err
	}
	return f.Store.Commit(ctx, txn)
}

func TestEveryRowOfTheErrorTableIsProvoked(t *testing.T) {
	var store *failing
	var log strings.Builder
	s := start(t, func(o *rest.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) },
		func(inner core.Store) core.Store { store = &failing{Store: inner}; return store })
	s.want(201, "PUT", "/keys/k", `{"value":1}`)
	secret := errors.New("disk 7 of host db-3 is on fire")
	rows := map[string]func() answer{
		"bad-request":            func() answer { return s.do("PUT", "/keys/k", `{`) },
		"unauthorized":           func() answer { return s.do("GET", "/keys/k", "", "as", "") },
		"forbidden":              func() answer { return s.do("GET", "/keys/k", "", "as", "bob") },
		"not-found":              func() answer { return s.do("GET", "/keys/nope", "") },
		"method-not-allowed":     func() answer { return s.do("POST", "/keys/k", "") },
		"gone":                   func() answer { return s.do("GET", "/keys/k", "", "X-DynConfig-Min-Revision", "another1:1") },
		"precondition-failed":    func() answer { return s.do("DELETE", "/keys/k", "", "If-Match", `"9"`) },
		"content-too-large":      func() answer { return s.do("PUT", "/keys/k", `{"value":"`+strings.Repeat("x", 1<<20)+`"}`) },
		"unsupported-media-type": func() answer { return s.do("PUT", "/keys/k", `{"value":1}`, "Content-Encoding", "br") },
		"unprocessable-entity":   func() answer { return s.do("PUT", "/keys/k", `{"valve":1}`) },
		"rate-limited":           func() answer { return s.do("GET", "/keys/k", "", "as", "tired") },
	}
	rows["unavailable"] = func() answer {
		store.away.Store(true)
		defer store.away.Store(false)
		return s.do("GET", "/keys/k?consistency=strong", "")
	}
	broken := map[string]error{
		"internal": secret,
		"conflict": core.Errorf(core.ErrConflict, "Other changes came between"), // as the engine says it after its last try
	}
	for name, err := range broken {
		rows[name] = func() answer {
			store.with.Store(&err)
			defer store.with.Store(nil)
			return s.do("PUT", "/keys/k", `{"value":2}`)
		}
	}
	for _, row := range wire.Table() {
		provoke := rows[row.Type]
		if provoke == nil {
			t.Errorf("nothing provokes %s", row.Type)
			continue
		}
		a := provoke()
		m := a.json(t)
		if a.status != row.Status || a.header.Get("Content-Type") != "application/problem+json" || m["status"] != float64(row.Status) {
			t.Errorf("%s: got %d %v %s", row.Type, a.status, a.header, a.body)
			continue
		}
		if m["type"] != "/problems/"+row.Type || m["title"] != row.Title || m["error"] != row.Title || m["detail"] == "" || m["message"] != m["detail"] {
			t.Errorf("%s: body %s", row.Type, a.body)
		}
		if m["requestId"] == "" || m["requestId"] != a.header.Get("X-Request-Id") {
			t.Errorf("%s: request id %v beside %v", row.Type, m["requestId"], a.header)
		}
		if strings.Contains(a.body, "fire") || a.header.Get("Etag") != "" {
			t.Errorf("%s: shows the cause or a version: %s %v", row.Type, a.body, a.header)
		}
		if (row.Status == 429 || row.Status == 503) != (a.header.Get("Retry-After") != "") || (row.Status == 401) != (a.header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s: header %v", row.Type, a.header)
		}
		s.want(200, "GET", m["type"].(string), "", "as", "")
	}
	if !strings.Contains(log.String(), "fire") {
		t.Errorf("the cause of an internal error is not in the log: %s", log.String())
	}
	s.want(404, "GET", "/problems/nope", "")
}

func TestEveryKindOfErrorHasARow(t *testing.T) {
	for _, kind := range core.Kinds() {
		if row := wire.RowOf(kind); !errors.Is(row.Kind, kind) {
			t.Errorf("%v has no row", kind)
		}
		if p := wire.ProblemOf(kind, "id"); p.Detail == "" || !errors.Is(p.Err(), kind) {
			t.Errorf("%v does not come back: %+v, %v", kind, p, p.Err())
		}
	}
}

func TestAnswersComeInOrder(t *testing.T) {
	s := start(t, nil, nil)
	s.want(201, "PUT", "/keys/k", `{"value":1,"acls":{"write":["bob"]}}`)
	s.want(401, "PUT", "/keys/a//b", `{`, "as", "")
	s.want(401, "GET", "/nowhere", "", "as", "")
	s.want(401, "POST", "/keys/k", "", "as", "")
	s.want(429, "PUT", "/keys/a//b", `{`, "as", "tired")
	s.want(422, "PUT", "/keys/a//b", `{"value":1}`, "as", "carol", "If-Match", `"9"`)
	s.want(400, "PATCH", "/keys/absent", `{`, "as", "carol")
	s.want(404, "PATCH", "/keys/absent", `{"value":1}`, "as", "carol", "If-Match", `"9"`)
	s.want(403, "PATCH", "/keys/k", `{"value":1}`, "as", "carol", "If-Match", `"9"`)
	s.want(403, "PUT", "/keys/absent", `{"value":1}`, "as", "carol", "If-Match", `"9"`)
	s.want(412, "PATCH", "/keys/k", `{"value":1}`, "as", "bob", "If-Match", `"9"`)
}

func TestMethodsThatAPathDoesNotHaveAreNamed(t *testing.T) {
	s := start(t, nil, nil)
	s.want(201, "PUT", "/keys/k", `{"value":1}`)
	for path, allow := range map[string]string{
		"/keys/k": "DELETE, GET, HEAD, OPTIONS, PATCH, PUT", "/keys": "GET, HEAD, OPTIONS", "/health": "GET, HEAD, OPTIONS", "/watch": "GET, OPTIONS",
	} {
		for _, m := range []string{"POST", "TRACE", "BREW"} {
			if a := s.want(405, m, path, ""); a.header.Get("Allow") != allow {
				t.Errorf("%s %s: Allow %q, want %q", m, path, a.header.Get("Allow"), allow)
			}
		}
		if a := s.want(204, "OPTIONS", path, ""); a.header.Get("Allow") != allow {
			t.Errorf("OPTIONS %s: %v", path, a.header)
		}
	}
	get := s.want(200, "GET", "/keys/k", "")
	if a := s.want(200, "HEAD", "/keys/k", ""); a.body != "" || a.header.Get("Etag") != get.header.Get("Etag") || a.header.Get("Content-Length") != get.header.Get("Content-Length") {
		t.Errorf("HEAD: %q %v beside %v", a.body, a.header, get.header)
	}
}

func TestHeadersOfTheBudgetAndTheRequestIDAreOnEveryAnswer(t *testing.T) {
	s := start(t, nil, nil)
	for path, status := range map[string]int{"/keys": 200, "/keys/nope": 404, "/keys/a//b": 422, "/nowhere": 404} {
		a := s.want(status, "GET", path, "")
		if a.header.Get("RateLimit-Limit") != "1000" || a.header.Get("RateLimit-Remaining") != "999" || a.header.Get("RateLimit-Reset") != "1" {
			t.Errorf("%s: %v", path, a.header)
		}
		if len(a.header.Get("X-Request-Id")) < 20 {
			t.Errorf("%s: id %v", path, a.header)
		}
	}
	if a := s.want(200, "GET", "/keys", "", "X-Request-Id", "trace-7:a.b_c"); a.header.Get("X-Request-Id") != "trace-7:a.b_c" {
		t.Errorf("id of the caller: %v", a.header)
	}
	for _, bad := range []string{"a b", "<script>", strings.Repeat("x", 129)} {
		if a := s.want(200, "GET", "/keys", "", "X-Request-Id", bad); a.header.Get("X-Request-Id") == bad {
			t.Errorf("id %q is taken over", bad)
		}
	}
}

func TestWithHiddenDenialsADeniedReadIsTheSame404(t *testing.T) {
	s := start(t, func(o *rest.Options) { o.HideDenied = true }, nil)
	s.want(201, "PUT", "/keys/k", `{"value":1}`)
	s.want(201, "PUT", "/namespaces/n", `{"acls":{"read":[]}}`)
	for _, path := range []string{"/keys/", "/namespaces/"} {
		id := "same"
		there := s.want(404, "GET", path+path[1:2], "", "as", "bob", "X-Request-Id", id)
		absent := s.want(404, "GET", path+"absent", "", "as", "bob", "X-Request-Id", id)
		if there.body != absent.body || len(there.header) != len(absent.header) {
			t.Errorf("%s: %s %v is not %s %v", path, there.body, there.header, absent.body, absent.header)
		}
	}
	s.want(403, "PUT", "/keys/k", `{"value":1}`, "as", "bob")
}

func TestWithHiddenDenialsADeniedWriteOfWhatOneMayNotReadIsThatOfAnAbsentItem(t *testing.T) {
	s := start(t, func(o *rest.Options) { o.HideDenied = true }, nil)
	s.want(201, "PUT", "/namespaces/app", `{"acls":{"read":["carol"],"write":["carol"]}}`)
	s.want(201, "PUT", "/keys/app.k", `{"value":1,"acls":{"read":["ann"],"write":["ann"]}}`)
	s.want(201, "PUT", "/keys/app.gone", `{"value":1,"acls":{"read":["ann"],"write":["ann"]}}`)
	s.want(204, "DELETE", "/keys/app.gone", "")
	bodies := map[string]string{"/keys/": `{"value":2,"acls":{"read":["bob"]}}`, "/namespaces/": `{"acls":{"read":["bob"]}}`}
	for path, present := range map[string][]string{"/keys/": {"app.k", "app.gone"}, "/namespaces/": {"app"}} {
		for method, status := range map[string]int{"PUT": 403, "PATCH": 404, "DELETE": 404, "DELETE?purge=true": 404} {
			method, query, purge := strings.Cut(method, "?")
			if path == "/namespaces/" && (method == "PATCH" || purge) {
				continue
			}
			body := bodies[path]
			if method == "DELETE" {
				body = ""
			}
			for _, header := range [][]string{{"as", "bob"}, {"as", "bob", "If-Match", `"1"`}, {"as", "bob", "If-Match", `"9"`}, {"as", "bob", "If-None-Match", "*"}} {
				header = append(header, "X-Request-Id", "same")
				absent := s.want(status, method, path+"app.absent?"+query, body, header...)
				for _, name := range present {
					there := s.want(status, method, path+name+"?"+query, body, header...)
					if there.body != absent.body || len(there.header) != len(absent.header) {
						t.Errorf("%s %s%s: %s %v is not %s %v", method, path, name, there.body, there.header, absent.body, absent.header)
					}
				}
			}
		}
	}
}

func TestWithHiddenDenialsWhoMayReadAnItemIsToldWhyAWriteIsDenied(t *testing.T) {
	plain, hiding := start(t, nil, nil), start(t, func(o *rest.Options) { o.HideDenied = true }, nil)
	for _, s := range []*server{plain, hiding} {
		s.want(201, "PUT", "/keys/app.k", `{"value":1,"acls":{"read":["bob"],"write":["ann"]}}`)
	}
	for _, method := range []string{"PUT", "PATCH", "DELETE"} {
		body := `{"value":2}`
		if method == "DELETE" {
			body = ""
		}
		as := []string{"as", "bob", "X-Request-Id", "same"}
		if a, b := plain.want(403, method, "/keys/app.k", body, as...), hiding.want(403, method, "/keys/app.k", body, as...); a.body != b.body {
			t.Errorf("%s: %s is not %s", method, b.body, a.body)
		}
	}
}

func TestAPanicIsA500ThatShowsNothing(t *testing.T) {
	var log strings.Builder
	s := start(t, func(o *rest.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		o.Metrics = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("on fire") })
	}, nil)
	a := s.want(500, "GET", "/metrics", "")
	if strings.Contains(a.body, "fire") || !strings.Contains(log.String(), "fire") || !strings.Contains(log.String(), a.header.Get("X-Request-Id")) {
		t.Errorf("answer %s, log %s", a.body, log.String())
	}
}

func TestAnswersAreObservedByRouteNotByPath(t *testing.T) {
	type seen struct {
		route, method string
		status        int
	}
	got := make(chan seen, 10)
	s := start(t, func(o *rest.Options) {
		o.Observe = func(route, method string, status int, _ time.Duration) {
			got <- seen{route, method, status}
		}
	}, nil)
	s.want(404, "GET", "/keys/secret", "")
	s.want(404, "BREW", "/secret", "")
	for _, want := range []seen{{"/keys/{key}", "GET", 404}, {"unmatched", "other", 404}} {
		if g := <-got; g != want {
			t.Errorf("got %v, want %v", g, want)
		}
	}
}

func TestGivenHandlersReachTheConnectionAndKnowTheRequestID(t *testing.T) {
	s := start(t, func(o *rest.Options) {
		o.Watch = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n%s", r.Header.Get("X-Request-Id"))
		})
	}, nil)
	if a := s.want(200, "GET", "/watch?anything=goes", "", "as", "", "X-Request-Id", "ab"); a.body != "ab" {
		t.Errorf("got %q", a.body)
	}
}
