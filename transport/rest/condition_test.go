package rest_test

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestConditionsGuardEveryWrite(t *testing.T) {
	s := start(t, nil, nil)
	s.want(412, "PUT", "/keys/c", `{"value":1}`, "If-Match", "*")
	s.want(201, "PUT", "/keys/c", `{"value":1}`, "If-None-Match", "*")
	for _, c := range []struct {
		status       int
		name, header string
	}{
		{412, "If-None-Match", "*"},
		{412, "If-Match", `"2"`},
		{412, "If-Match", `2`},
		{412, "If-Match", `"7", "8"`},
		{412, "If-Match", `"nonsense"`},
		{412, "If-Match", `""`},
		{412, "If-Match", `"01"`},
		{412, "If-Match", `"0"`},
		{412, "If-None-Match", `"1"`},
		{400, "If-Match", `nonsense`},
		{400, "If-Match", `"1`},
		{400, "If-Match", `1"`},
		{400, "If-Match", `"1" "2"`},
		{400, "If-Match", `,`},
		{400, "If-Match", `-1`},
		{400, "If-Match", `*, "1"`},
		{400, "If-None-Match", `W/1x`},
	} {
		s.want(c.status, "PUT", "/keys/c", `{"value":2}`, c.name, c.header)
		s.want(c.status, "PATCH", "/keys/c", `{"value":2}`, c.name, c.header)
		s.want(c.status, "DELETE", "/keys/c", "", c.name, c.header)
	}
	if a := s.want(200, "GET", "/keys/c", ""); !strings.Contains(a.body, `"value":1,"version":1`) {
		t.Errorf("a failed condition changed the key: %s", a.body)
	}
	for i, h := range []string{`"1"`, `2`, `*`, `"9", "4"`, `W/"5"`, ` 6 , 7`} {
		s.want(200, "PUT", "/keys/c", `{"value":`+strconv.Itoa(i)+`}`, "If-Match", h)
	}
	s.want(200, "PATCH", "/keys/c", `{"value":2}`, "If-Match", `"99"`, "If-Match", `"7"`)
	s.want(200, "PUT", "/keys/c", `{"value":2}`, "If-None-Match", `"1"`)
	s.want(204, "DELETE", "/keys/c", "", "If-Match", `"9"`)
}

func TestOfRacingConditionalWritersOneWins(t *testing.T) {
	s := start(t, nil, nil)
	s.want(201, "PUT", "/keys/c", `{"value":0}`)
	var won, lost atomic.Int32
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			switch s.do("PUT", "/keys/c", `{"value":1}`, "If-Match", `"1"`).status {
			case 200:
				won.Add(1)
			case 412:
				lost.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 || lost.Load() != 15 {
		t.Errorf("%d won and %d lost, want 1 and 15", won.Load(), lost.Load())
	}
}

func TestAReadThatKnowsTheVersionIsNotModified(t *testing.T) {
	s := start(t, nil, nil)
	s.want(201, "PUT", "/keys/c", `{"value":1}`)
	s.want(200, "PUT", "/keys/c", `{"value":2}`)
	for _, c := range []struct {
		status        int
		query, header string
	}{
		{304, "?since_version=2", ""},
		{200, "?since_version=1", ""},
		{200, "?since_version=0", ""},
		{200, "?since_version=9", ""},
		{304, "", `"2"`},
		{304, "", `2`},
		{304, "", `W/"2"`},
		{304, "", `"1", "2"`},
		{304, "", `*`},
		{200, "", `"1"`},
		{200, "", `"x"`},
		{200, "?since_version=1", `"2"`},
		{304, "?since_version=2&wait=0", ""},
		{304, "?since_version=2&wait=10ms", ""},
		{304, "?wait=10ms", `"2"`},
		{200, "?since_version=9&wait=30s", ""},
		{400, "?since_version=x", ""},
		{400, "?since_version=-1", ""},
		{400, "?since_version=%2B1", ""},
		{400, "?since_version=", ""},
		{400, "?wait=1", ""},
		{400, "?since_version=2&wait=-1s", ""},
		{400, "?since_version=2&wait=soon", ""},
		{400, "?wait=1s", `*`},
	} {
		var headers []string
		if c.header != "" {
			headers = []string{"If-None-Match", c.header}
		}
		a := s.want(c.status, "GET", "/keys/c"+c.query, "", headers...)
		if a.status == 304 && (a.header.Get("Etag") != `"2"` || a.body != "") {
			t.Errorf("%v: %v %q", c, a.header, a.body)
		}
	}
	s.want(404, "GET", "/keys/absent?since_version=0", "")
	s.want(404, "GET", "/keys/absent?since_version=1&wait=30s", "")
}

// As a client sends it that puts a variable there which is not set.
func TestAnEmptyHeaderIsNoMissingOne(t *testing.T) {
	s := start(t, nil, nil)
	s.want(201, "PUT", "/keys/c", `{"value":1}`)
	for _, name := range []string{"If-Match", "If-None-Match", "Idempotency-Key"} {
		s.want(400, "DELETE", "/keys/c", "", name, "")
	}
	s.want(400, "GET", "/keys/c", "", "X-DynConfig-Min-Revision", "")
	s.want(400, "GET", "/keys/c", "", "If-None-Match", "")
	s.want(422, "GET", "/keys/c", "", "X-DynConfig-Environment", "")
	s.want(200, "GET", "/keys/c?env=default", "", "X-DynConfig-Environment", "")
}

func TestAHeldReadAnswersAtTheNextChange(t *testing.T) {
	s := start(t, nil, nil)
	s.want(201, "PUT", "/keys/c", `{"value":1,"acls":{"read":["bob"],"write":[]}}`)
	held := func(path string, as string, change func()) answer {
		got := make(chan answer, 1)
		go func() { got <- s.do("GET", path, "", "as", as) }()
		change()
		return <-got
	}
	if a := held("/keys/c?since_version=1&wait=60", "bob", func() { s.want(200, "PUT", "/keys/c", `{"value":2}`) }); a.status != 200 || !strings.Contains(a.body, `"version":2`) {
		t.Errorf("changed: %d %s", a.status, a.body)
	}
	if a := held("/keys/d?since_version=0&wait=60s", "admin-user", func() { s.want(201, "PUT", "/keys/d", `{"value":2}`) }); a.status != 200 {
		t.Errorf("created: %d %s", a.status, a.body)
	}
	if a := held("/keys/d?since_version=1&wait=60s", "admin-user", func() { s.want(204, "DELETE", "/keys/d", "") }); a.status != 404 {
		t.Errorf("deleted: %d %s", a.status, a.body)
	}
	began := time.Now()
	if a := held("/keys/c?since_version=2&wait=60s", "bob", func() { s.want(200, "PATCH", "/keys/c", `{"acls":{"read":[]}}`) }); a.status != 403 {
		t.Errorf("right lost: %d %s after %v", a.status, a.body, time.Since(began))
	}
}

func TestAReadIsNotOlderThanTheRevisionAsked(t *testing.T) {
	s := start(t, nil, nil)
	revision := s.want(201, "PUT", "/keys/c", `{"value":1}`).header.Get("X-Dynconfig-Revision")
	s.want(200, "GET", "/keys/c", "", "X-DynConfig-Min-Revision", revision)
	s.want(200, "GET", "/keys/c?consistency=strong", "")
	s.want(410, "GET", "/keys/c", "", "X-DynConfig-Min-Revision", "anotherepoch:1")
	s.want(400, "GET", "/keys/c", "", "X-DynConfig-Min-Revision", "7")
	for _, list := range []string{"/keys", "/keys?key=c", "/namespaces"} {
		s.want(200, "GET", list, "", "X-DynConfig-Min-Revision", revision)
		s.want(410, "GET", list, "", "X-DynConfig-Min-Revision", "anotherepoch:1")
		s.want(400, "GET", list, "", "X-DynConfig-Min-Revision", "7")
	}
	s.want(400, "GET", "/keys/c?consistency=weak", "")
}

func TestAnIdempotentWriteHappensOnce(t *testing.T) {
	s := start(t, nil, nil)
	first := s.want(201, "PUT", "/keys/team/i", `{"value":1}`, "Idempotency-Key", "one")
	again := s.want(201, "PUT", "/keys/team%2Fi", `{"value":1}`, "Idempotency-Key", "one")
	if first.body != again.body || first.header.Get("X-Dynconfig-Revision") != again.header.Get("X-Dynconfig-Revision") {
		t.Errorf("first %s %v, again %s %v", first.body, first.header, again.body, again.header)
	}
	for _, other := range [][]string{{"PUT", "/keys/team/i", `{"value":2}`}, {"PATCH", "/keys/team/i", `{"value":1}`}, {"PUT", "/keys/j", `{"value":1}`}, {"DELETE", "/keys/team/i", ""}} {
		s.want(422, other[0], other[1], other[2], "Idempotency-Key", "one")
	}
	s.want(422, "PUT", "/keys/team/i", `{"value":1}`, "Idempotency-Key", "one", "If-Match", "*")
	s.want(204, "DELETE", "/keys/team/i", "", "Idempotency-Key", "two")
	s.want(204, "DELETE", "/keys/team/i", "", "Idempotency-Key", "two")
	s.want(400, "PUT", "/keys/team/i", `{"value":1}`, "Idempotency-Key", strings.Repeat("x", 256))
	s.want(201, "PUT", "/keys/team/i", `{"value":1}`, "Idempotency-Key", strings.Repeat("x", 255))
	s.want(400, "PUT", "/keys/team/i", `{"value":1}`, "Idempotency-Key", "é")
	s.want(400, "PUT", "/keys/team/i", `{"value":1}`, "Idempotency-Key", "a", "Idempotency-Key", "b")
}

func TestParametersAreReadStrictly(t *testing.T) {
	s := start(t, nil, nil)
	s.want(201, "PUT", "/keys/c", `{"value":1}`)
	for _, path := range []string{
		"/keys/c?nope=1", "/keys/c?Env=default", "/keys/c?env=default&env=default", "/keys/c?metadata=1", "/keys/c?metadata=true&metadata=true",
		"/keys/c?env=%zz", "/keys/c?env=a;b", "/keys/c?version=1", "/keys/c?limit=1", "/keys?limit=0", "/keys?limit=1001", "/keys?limit=x", "/keys?limit=",
		"/keys?access=admin", "/keys?values=yes", "/keys?cursor=abc", "/keys?cursor=!", "/keys?key=c&namespace=a", "/keys?key=c&limit=1", "/keys?" + strings.Repeat("key=c&", 101),
		"/health?x=1",
	} {
		if a := s.want(400, "GET", path, ""); a.json(t)["error"] != "Bad Request" {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	s.want(422, "GET", "/keys?namespace=a..b/", "")
	s.want(422, "GET", "/keys?key=a//b", "")
	s.want(400, "GET", "/keys/c", "", "X-DynConfig-Environment", "default", "X-DynConfig-Environment", "default")
	s.want(200, "GET", "/keys?namespace=&cursor=&&limit=1000&values=false&access=read", "")
	s.want(200, "GET", "/keys?"+strings.Repeat("key=c&", 100), "")
	s.want(200, "GET", "/keys/c?%65nv=default", "")
}
