package policy

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// Whatever an input says, the shipped rules decide it and do not break.
func FuzzProgramDecidesAnyInput(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `{"request":7}`, `{"subject":{"username":"admin-user"},"action":"read","resource":{"kind":"key"}}`,
		`{"subject":{"username":"ann","claims":{"n":1e400}},"action":"write","environment":"default","resource":{"kind":"key","key":"app.k","namespaces":["app"],
			"exists":true,"acls":{"write":{"any":false,"names":{},"prefixes":["a"]}},"namespace_acls":[{"namespace":"*","acls":{"admin":{"any":true,"names":{},"prefixes":[]}}}]},
			"request":{"operation":"put","changes":["value"],"time":"2026-01-02T03:04:05Z","address":"192.0.2.7"}}`,
	} {
		f.Add(seed)
	}
	p, err := Compile(f.Context(), Set{}, CompileOptions{Admins: []string{"admin-user"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, input string) {
		d, err := p.Decide(t.Context(), []byte(input), time.Time{})
		if err != nil {
			if !errors.Is(err, core.ErrMalformed) || d.Allow {
				t.Errorf("got %+v, %v", d, err)
			}
			return
		}
		if strings.Contains(d.Reason, "panic") || d.Allow && d.Rule == "" {
			t.Errorf("got %+v", d)
		}
	})
}
