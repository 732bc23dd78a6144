package rest_test

import (
	"encoding/json"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/transport/rest"
)

func FuzzAPolicyRequestIsRefusedOrHandedOn(f *testing.F) {
	for _, r := range policyRequests {
		f.Add(r.body)
	}
	f.Add(`{"modules":{"a/b.rego":"\ud83d\ude00"},"data":{"a":[1e9,{"b":null}]},"note":"é","since":"1h","revision":"a:1"}`)
	f.Add(`{"subject":{"username":"a b","claims":{"a":{"b":[true,"x",-0.5]}}},"action":"list","kind":"audit","key":"","environment":"e"}`)
	p := &policies{}
	h := rest.New(nil, rest.Options{Authenticate: bearer, Policies: p})
	f.Fuzz(func(t *testing.T, body string) {
		for _, r := range policyRequests {
			if r.body == "" {
				continue
			}
			p.question.Subject, p.set.Modules, p.set.Data = nil, nil, nil
			q := httptest.NewRequestWithContext(t.Context(), r.method, r.path, strings.NewReader(body))
			q.Header.Set("Authorization", "Bearer bob")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, q)
			if w.Code != 200 && w.Code != 400 && w.Code != 413 && w.Code != 422 {
				t.Fatalf("%s %s is answered %d %s", body, r.path, w.Code, w.Body)
			}
			if w.Code != 200 {
				continue
			}
			if s := p.question.Subject; s != nil && core.CheckUsername(s.Username) != nil {
				t.Errorf("%s: the subject is %q", body, s.Username)
			}
			if !json.Valid([]byte(body)) || len(p.set.Data) > 0 && !json.Valid(p.set.Data) {
				t.Errorf("%s is taken, with data %s", body, p.set.Data)
			}
			for name := range p.set.Modules {
				if !filepath.IsLocal(name) {
					t.Errorf("a module is named %q", name)
				}
			}
		}
	})
}
