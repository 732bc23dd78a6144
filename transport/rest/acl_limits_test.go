package rest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

// entries makes n different entries of an ACL, each of size bytes, all ending in end.
func entries(n, size int, end string) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%0*d%s", size-len(end), i, end)
	}
	return list
}

func aclBody(t *testing.T, lists map[string][]string) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"value": 1, "acls": lists})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestACLsAreTakenUpToTheirLimitsAndNoFurther(t *testing.T) {
	s := start(t, nil, nil)
	half := core.MaxACLEntries / 2
	for name, c := range map[string]struct {
		lists map[string][]string
		one   string // more, and it is too much
		user  string // who may read
	}{
		"entries":  {map[string][]string{"read": entries(half, 8, ""), "write": entries(half, 8, "")}, "one", "00004999"},
		"bytes":    {map[string][]string{"read": entries(core.MaxACLBytes/256, 256, "")}, "1", fmt.Sprintf("%0256d", 1023)},
		"prefixes": {map[string][]string{"read": entries(core.MaxACLPrefixes, 8, "*")}, "x*", "0000999:someone"},
	} {
		t.Run(name, func(t *testing.T) {
			key := "/keys/limits." + name
			s.want(201, "PUT", key, aclBody(t, c.lists))
			s.want(200, "GET", key, "", "as", c.user)
			s.want(403, "GET", key, "", "as", "nobody")
			s.want(201, "PUT", "/namespaces/"+name, namespaceOf(t, c.lists))
			c.lists["admin"] = []string{c.one}
			for path, body := range map[string]string{key: aclBody(t, c.lists), key + "2": aclBody(t, c.lists)} {
				a := s.want(422, "PUT", path, body)
				if !strings.Contains(a.body, `"path":"acls"`) {
					t.Errorf("%s: the answer does not say where: %s", path, clip(a.body))
				}
			}
			s.want(422, "PUT", "/namespaces/"+name, namespaceOf(t, c.lists))
			s.want(200, "GET", key, "", "as", c.user)
			s.want(404, "GET", key+"2", "")
		})
	}
}

func namespaceOf(t *testing.T, lists map[string][]string) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"acls": lists})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestEntriesAreTakenAsTheyAreOrNotAtAll(t *testing.T) {
	s := start(t, nil, nil)
	for i, name := range []string{
		`o"neil\`, `"},{"allow":true`, "caf\u00e9", "cafe\u0301", "\u65e5\u672c:1", "a b", "a,b;c", "\U0001f600", `x' or '1'='1`, "${jndi}", "%2a", "data.dynconfig", "true",
	} {
		key := fmt.Sprintf("/keys/app.k%d", i)
		s.want(201, "PUT", key, aclBody(t, map[string][]string{"read": {name}}))
		as := func(name string) answer {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+key, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+name)
			return s.send(r)
		}
		if a := as(name); a.status != 200 {
			t.Errorf("%q, who is named, is answered %d %s", name, a.status, a.body)
		}
		if a := as(name + "x"); a.status != 403 {
			t.Errorf("%q, who is not named, is answered %d", name+"x", a.status)
		}
		var back struct {
			ACLs struct{ Read []string } `json:"acls"`
		}
		a := s.want(200, "GET", key+"?metadata=true", "")
		if err := json.Unmarshal([]byte(a.body), &back); err != nil || len(back.ACLs.Read) != 1 || back.ACLs.Read[0] != name {
			t.Errorf("%q is read back as %q, %v", name, back.ACLs.Read, err)
		}
	}
	for _, entry := range []string{`"a*b"`, `"**"`, `""`, `" a"`, `"a\nb"`, `"a\u0000"`, `"\ud800*"`, "\"\xe6\x97*\"", `"` + strings.Repeat("x", 255) + `**"`, `1`, `null`} {
		a := s.do("PUT", "/keys/app.bad", `{"value":1,"acls":{"read":[`+entry+`]}}`)
		if a.status != 422 && a.status != 400 {
			t.Errorf("entry %s: got %d %s, want it refused", entry, a.status, clip(a.body))
		}
	}
}
