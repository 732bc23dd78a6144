package rest_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dynconfig/dynconfig/transport/rest"
)

// timed is a ResponseWriter that remembers until when the rest of the request must have come.
type timed struct {
	*httptest.ResponseRecorder
	until time.Time
}

func (w *timed) SetReadDeadline(at time.Time) error {
	w.until = at
	return nil
}

func TestABodyThatNeverComesWholeIsNotWaitedForWithoutEnd(t *testing.T) {
	s := start(t, nil, nil)
	for _, c := range []struct {
		name, token, method string
		body                io.Reader
		status              int
		waits               bool // for what is left of the body, once it is answered
	}{
		{"whole", "admin-user", "PUT", strings.NewReader(`{"value":1}`), 201, false},
		{"none", "admin-user", "GET", http.NoBody, 200, false},
		{"broken off", "admin-user", "PUT", iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(`{"value":1}`))), 400, true},
		{"unwanted", "admin-user", "DELETE", iotest.OneByteReader(strings.NewReader(`{}`)), 204, true},
		{"of a stranger", "", "PUT", iotest.OneByteReader(strings.NewReader(`{"value":1}`)), 401, true},
	} {
		r := httptest.NewRequest(c.method, "/keys/k", c.body)
		if c.token != "" {
			r.Header.Set("Authorization", "Bearer "+c.token)
		}
		w := &timed{ResponseRecorder: httptest.NewRecorder()}
		began := time.Now()
		if s.rest.ServeHTTP(w, r); w.Code != c.status || w.until.After(began) != c.waits {
			t.Errorf("%s: answered %d, and waits until %v", c.name, w.Code, w.until)
		}
	}
}

func TestBodiesAreReadStrictly(t *testing.T) {
	s := start(t, nil, nil)
	for _, c := range []struct {
		status int
		body   string
		path   string // of the first fault
	}{
		{400, `{`, ""},
		{400, `{"value":1,}`, ""},
		{400, `{"value":1} x`, ""},
		{400, "{\"value\":\"\xff\"}", ""},
		{400, "\ufeff{\"value\":1}", ""},
		{400, `{"value":1,"value":1}`, "value"},
		{400, `{"value":1,"\u0076alue":1}`, "value"},
		{400, `{"value":1,"acls":{"read":[],"read":[]}}`, "acls.read"},
		{422, `{}`, "value"},
		{422, `[]`, ""},
		{422, `null`, ""},
		{422, `{"value":1,"extra":2}`, "extra"},
		{422, `{"Value":1}`, "Value"},
		{422, `{"value":1,"ACLs":{}}`, "ACLs"},
		{422, `{"value":1,"acls":{"Read":[]}}`, "acls.Read"},
		{422, `{"value":1,"acls":[]}`, "acls"},
		{422, `{"value":1,"acls":{"read":"*"}}`, "acls.read"},
		{422, `{"value":1,"acls":{"read":["ok",5]}}`, "acls.read[1]"},
		{422, `{"value":1,"acls":{"read":["a*b"]}}`, "acls.read[0]"},
		{422, `{"value":1,"acls":{"admin":[""]}}`, "acls.admin[0]"},
		{422, `{"value":1,"ttl":0}`, "ttl"},
		{422, `{"value":1,"ttl":-1}`, "ttl"},
		{422, `{"value":1,"ttl":1.5}`, "ttl"},
		{422, `{"value":1,"ttl":"30s"}`, "ttl"},
		{422, `{"value":1,"ttl":315360001}`, "ttl"},
		{422, `{"value":1,"ttl":99999999999999999999}`, "ttl"},
		{422, `{"value":` + strings.Repeat("[", 65) + strings.Repeat("]", 65) + `}`, "value"},
		{201, `{"value":null}`, ""},
		{201, " {\"value\" : 1 , \"ttl\" : 315360000 ,\n\"acls\":null } ", ""},
		{201, `{"value":1,"ttl":null,"acls":{"read":null,"write":["*","service:*"],"admin":[]}}`, ""},
		{201, `{"value":{"a":1,"a":2}}`, ""},
	} {
		a := s.do("PUT", "/keys/b", c.body)
		fault := ""
		if fields, _ := a.json(t)["errors"].([]any); len(fields) > 0 {
			fault, _ = fields[0].(map[string]any)["path"].(string)
		}
		if a.status != c.status || fault != c.path {
			t.Errorf("%s: got %d, fault at %q, want %d, %q (%s)", clip(c.body), a.status, fault, c.status, c.path, a.body)
		}
		if a.status == 201 {
			s.want(204, "DELETE", "/keys/b", "")
		}
	}
}

func TestAllFaultsOfABodyAreTold(t *testing.T) {
	s := start(t, nil, nil)
	a := s.want(422, "PUT", "/keys/b", `{"x":1,"ttl":"no","acls":{"y":2,"read":[1]},"value":1}`)
	var got []string
	for _, f := range a.json(t)["errors"].([]any) {
		got = append(got, f.(map[string]any)["path"].(string))
	}
	if d := cmp.Diff([]string{"x", "ttl", "acls.y", "acls.read[0]"}, got); d != "" {
		t.Error(d)
	}
}

func TestAValueOfOneMebibyteIsTakenAndOneByteMoreIsTooLarge(t *testing.T) {
	s := start(t, nil, nil)
	value := func(n int) string { return `"` + strings.Repeat("x", n-2) + `"` }
	s.want(201, "PUT", "/keys/big", `{"value":`+value(1_048_576)+`}`)
	s.want(201, "PUT", "/keys/big2", `{"value":   `+value(1_048_576)+"\n\n"+`, "acls":{"read":["`+strings.Repeat("a", 250)+`"]}}`)
	s.want(413, "PUT", "/keys/big", `{"value":`+value(1_048_577)+`}`)
	s.want(413, "PATCH", "/keys/big", `{"value":`+value(1_048_577)+`}`)
	s.want(200, "PATCH", "/keys/big", `{"value":`+value(1_048_576)+`}`)
}

func TestAnEndlessBodyIsCutOffAlsoInChunks(t *testing.T) {
	s := start(t, nil, nil)
	answered := make(chan struct{})
	defer close(answered)
	endless := io.MultiReader(strings.NewReader(`{"value":"`), io.LimitReader(forever{}, rest.MaxBody), until(answered))
	r, err := http.NewRequestWithContext(t.Context(), "PUT", s.url+"/keys/big", endless)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer admin-user")
	if a := s.send(r); a.status != 413 {
		t.Errorf("in chunks: got %d %s", a.status, a.body)
	}
	r, _ = http.NewRequestWithContext(t.Context(), "PUT", s.url+"/keys/big", bytes.NewReader(bytes.Repeat([]byte(" "), 8<<20)))
	r.Header.Set("Authorization", "Bearer admin-user")
	r.Header.Set("Expect", "100-continue")
	if a := s.send(r); a.status != 413 {
		t.Errorf("by its length: got %d %s", a.status, a.body)
	}
}

type forever struct{}

func (forever) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// until is a body that goes on for as long as nobody has answered. More of it than the server takes would do, too, but then
// the answer races with the end of a connection on which nobody reads what is sent.
type until <-chan struct{}

func (u until) Read([]byte) (int, error) {
	<-u
	return 0, io.EOF
}

func TestOnlyJSONIsTaken(t *testing.T) {
	s := start(t, nil, nil)
	for media, status := range map[string]int{
		"application/json": 200, "application/json; charset=utf-8": 200, "Application/JSON;charset=UTF-8": 200, "": 200,
		"text/plain": 415, "application/x-www-form-urlencoded": 415, "application/merge-patch+json": 415, "application/json; charset=latin1": 415, "nonsense;;": 415,
	} {
		s.want(201, "PUT", "/keys/m", `{"value":1}`)
		r, err := http.NewRequestWithContext(t.Context(), "PATCH", s.url+"/keys/m", strings.NewReader(`{"value":2}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer admin-user")
		if media != "" {
			r.Header.Set("Content-Type", media)
		}
		if a := s.send(r); a.status != status {
			t.Errorf("%q: got %d %s, want %d", media, a.status, a.body, status)
		}
		s.want(204, "DELETE", "/keys/m", "")
	}
	s.want(415, "PUT", "/keys/m", `{"value":2}`, "Content-Encoding", "gzip")
}
