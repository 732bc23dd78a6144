package auth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

const looksRight = "eyJhbGciOiJFZERTQSJ9.eyJ1c2VybmFtZSI6ImEifQ.c2ln"

func TestTokenComesInAuthorizationAlone(t *testing.T) {
	for _, c := range []struct {
		name, target string
		header       http.Header
		want         string
		kind         error
	}{
		{"bearer", "/keys", http.Header{"Authorization": {"Bearer abc"}}, "abc", nil},
		{"scheme in any case", "/keys", http.Header{"Authorization": {"bEARER abc"}}, "abc", nil},
		{"more blanks", "/keys", http.Header{"Authorization": {"Bearer   abc "}}, "abc", nil},
		{"nothing", "/keys", nil, "", core.ErrUnauthenticated},
		{"empty", "/keys", http.Header{"Authorization": {""}}, "", core.ErrUnauthenticated},
		{"no token", "/keys", http.Header{"Authorization": {"Bearer"}}, "", core.ErrUnauthenticated},
		{"no token but a blank", "/keys", http.Header{"Authorization": {"Bearer "}}, "", core.ErrUnauthenticated},
		{"another scheme", "/keys", http.Header{"Authorization": {"Basic YTpi"}}, "", core.ErrUnauthenticated},
		{"scheme without a blank", "/keys", http.Header{"Authorization": {"Bearerabc"}}, "", core.ErrUnauthenticated},
		{"bare token", "/keys", http.Header{"Authorization": {looksRight}}, "", core.ErrUnauthenticated},
		{"another header", "/keys", http.Header{"X-Authorization": {"Bearer abc"}}, "", core.ErrUnauthenticated},
		{"twice", "/keys", http.Header{"Authorization": {"Bearer abc", "Bearer abc"}}, "", core.ErrMalformed},
		{"in the query", "/keys?access_token=abc", nil, "", core.ErrMalformed},
		{"in the query as token", "/keys?limit=1&token=abc", nil, "", core.ErrMalformed},
		{"in the query as jwt", "/keys?jwt=abc", nil, "", core.ErrMalformed},
		{"in the query, escaped", "/keys?%74oken=abc", nil, "", core.ErrMalformed},
		{"in the query, another case", "/keys?Access_Token=abc", nil, "", core.ErrMalformed},
		{"in the query, empty", "/keys?token", nil, "", core.ErrMalformed},
		{"in both", "/keys?token=abc", http.Header{"Authorization": {"Bearer abc"}}, "", core.ErrMalformed},
		{"other parameters", "/keys?key=token&x=jwt", http.Header{"Authorization": {"Bearer abc"}}, "abc", nil},
		{"in a cookie", "/keys", http.Header{"Cookie": {"a=b; token=abc"}}, "", core.ErrMalformed},
		{"in a cookie of another name", "/keys", http.Header{"Cookie": {"session=" + looksRight}}, "", core.ErrMalformed},
		{"in both ways", "/keys", http.Header{"Cookie": {"access_token=abc"}, "Authorization": {"Bearer abc"}}, "", core.ErrMalformed},
		{"beside another program's cookie", "/keys", http.Header{"Cookie": {"session=" + looksRight}, "Authorization": {"Bearer abc"}}, "abc", nil},
		{"other cookies", "/keys", http.Header{"Cookie": {"theme=dark"}}, "", core.ErrUnauthenticated},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, c.target, nil)
			r.Header = c.header
			got, err := Bearer(r)
			if got != c.want || !errors.Is(err, c.kind) {
				t.Fatalf("got %q, %v, want %q, %v", got, err, c.want, c.kind)
			}
			var e *core.Error
			if errors.As(err, &e) && (errors.Is(e.Kind, core.ErrUnauthenticated) && e.Detail != "Invalid JWT" || strings.Contains(e.Error(), "abc")) {
				t.Errorf("says %q", e.Error())
			}
		})
	}
}

func FuzzBearerNeverTakesATokenFromElsewhere(f *testing.F) {
	f.Add("Bearer abc", "a=b&token=x", "jwt=x")
	f.Add("bearer  x y", "%74oken", `a="eyJ.a.b"`)
	f.Add("", "", "")
	f.Fuzz(func(t *testing.T, authorization, query, cookie string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.RawQuery = query
		r.Header = http.Header{"Authorization": {authorization}, "Cookie": {cookie}}
		token, err := Bearer(r)
		if err == nil && (token == "" || !strings.Contains(authorization, token)) {
			t.Fatalf("%q gave %q", authorization, token)
		}
		if err == nil && r.URL.Query().Has("token") {
			t.Fatalf("took a request with a token in the query %q", query)
		}
	})
}
