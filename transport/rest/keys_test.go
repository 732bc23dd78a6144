package rest_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAKeyIsCreatedReadChangedAndDeleted(t *testing.T) {
	s := start(t, nil, nil)
	a := s.want(201, "PUT", "/keys/app.theme", `{"value":"dark"}`)
	m := a.json(t)
	if m["key"] != "app.theme" || m["version"] != 1.0 || m["lastModified"] == nil || len(m) != 3 {
		t.Errorf("body of the creation: %s", a.body)
	}
	if a.header.Get("Etag") != `"1"` || !strings.Contains(a.header.Get("X-Dynconfig-Revision"), ":") {
		t.Errorf("header of the creation: %v", a.header)
	}
	a = s.want(200, "GET", "/keys/app.theme", "")
	if a.body != `{"key":"app.theme","value":"dark","version":1}` || a.header.Get("Content-Type") != "application/json" || a.header.Get("Etag") != `"1"` {
		t.Errorf("read: %s %v", a.body, a.header)
	}
	s.want(200, "PUT", "/keys/app.theme", `{"value":1}`)
	s.want(200, "PATCH", "/keys/app.theme", `{"value":2}`)
	a = s.want(204, "DELETE", "/keys/app.theme", "")
	if a.body != "" || a.header.Get("X-Dynconfig-Revision") == "" {
		t.Errorf("delete: %q %v", a.body, a.header)
	}
	s.want(404, "GET", "/keys/app.theme", "")
	s.want(404, "PATCH", "/keys/app.theme", `{"value":1}`)
	s.want(404, "DELETE", "/keys/app.theme", "")
	if m := s.want(201, "PUT", "/keys/app.theme", `{"value":3}`).json(t); m["version"] != 5.0 {
		t.Errorf("version after re-creation: %v, want 5", m["version"])
	}
	s.want(204, "DELETE", "/keys/app.theme?purge=true", "")
	if m := s.want(201, "PUT", "/keys/app.theme", `{"value":3}`).json(t); m["version"] != 1.0 {
		t.Errorf("version after a purge: %v, want 1", m["version"])
	}
}

func TestValuesComeBackByteForByte(t *testing.T) {
	s := start(t, nil, nil)
	for _, value := range []string{
		`123456789012345678901234567890.10e+400`, `{"b":1,"a":2,"b":3}`, `"\u0000<>&\u003c"`, `"\ud800"`, `"é😀\/"`, `{ "a" : [ 1 ,	2 ] }`, `null`,
		`false`, `-0`, `""`, strings.Repeat("[", 64) + strings.Repeat("]", 64), `"` + strings.Repeat("x", 1_048_574) + `"`,
	} {
		s.do("PUT", "/keys/v", `{"value": `+value+"\n}")
		a := s.want(200, "GET", "/keys/v", "")
		if want := `{"key":"v","value":` + value + `,"version":`; !strings.HasPrefix(a.body, want) {
			t.Errorf("got %s, want %s…", clip(a.body), clip(want))
		}
		a = s.want(200, "GET", "/keys?key=v", "")
		if !strings.Contains(a.body, `"value":`+value+`,"version":`) {
			t.Errorf("list: got %s, want %s in it", clip(a.body), clip(value))
		}
	}
}

func TestMetadataShowsTheACLToAdminsOfTheKeyAlone(t *testing.T) {
	s := start(t, nil, nil)
	s.want(201, "PUT", "/keys/k", `{"value":1,"ttl":60,"acls":{"read":["bob"],"write":[],"admin":["alice"]}}`)
	admin := s.want(200, "GET", "/keys/k?metadata=true", "", "as", "alice").json(t)
	for _, member := range []string{"key", "value", "version", "ttl", "expiresAt", "lastModified", "lastModifiedBy", "revision", "acls"} {
		if admin[member] == nil {
			t.Errorf("no %s in %v", member, admin)
		}
	}
	want := map[string]any{"read": []any{"bob"}, "write": []any{}, "admin": []any{"alice"}}
	if d := cmp.Diff(want, admin["acls"]); d != "" || admin["ttl"] != 60.0 || admin["lastModifiedBy"] != "admin-user" {
		t.Errorf("metadata %v, ACL %s", admin, d)
	}
	reader := s.want(200, "GET", "/keys/k?metadata=true", "", "as", "bob").json(t)
	if _, shown := reader["acls"]; shown || len(reader) != 8 {
		t.Errorf("a reader sees %v", reader)
	}
	s.want(403, "GET", "/keys/k", "", "as", "carol")
	s.want(200, "PATCH", "/keys/k", `{"ttl":null,"acls":{}}`)
	bare := s.want(200, "GET", "/keys/k?metadata=true", "").json(t)
	if d := cmp.Diff(map[string]any{}, bare["acls"]); d != "" || bare["ttl"] != nil || bare["expiresAt"] != nil {
		t.Errorf("after both were removed: %v", bare)
	}
}

func TestAKeyInAPathHoldsSlashesRawAndEscaped(t *testing.T) {
	s := start(t, nil, nil)
	s.want(201, "PUT", "/keys/team/app/key", `{"value":1}`)
	for _, path := range []string{"/keys/team%2Fapp%2fkey", "/keys/team/app%2Fkey", "/keys/%74eam/app/key", "/keys/team/app/key"} {
		if a := s.want(200, "GET", path, ""); !strings.Contains(a.body, `"key":"team/app/key"`) {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	s.want(201, "PUT", "/keys/a:b@c_d-e.f", `{"value":1}`)
	s.want(200, "GET", "/keys/a%3Ab%40c_d-e.f", "")
}

func TestKeysThatAreNotValidAre422AndNeverARedirect(t *testing.T) {
	s := start(t, nil, nil)
	for _, key := range []string{
		"a//b", "a%2F%2Fb", "a/%2Fb", "a/../b", "a%2F..%2Fb", "a/%2e%2E/b", "a/./b", "a%2F.%2Fb", "..", ".", "%2E%2E", "a/", "a%2F", "/a", "%2Fa", "",
		"a%25b", "a%20b", "a+b", "a%00b", "%C3%A9", "%FF", "a*", "a%3Fb", "a%5Cb", strings.Repeat("x", 513), strings.Repeat("a.", 32) + "a",
	} {
		for _, m := range []string{"GET", "PUT", "PATCH", "DELETE"} {
			body := ""
			if m[0] == 'P' {
				body = `{"value":1}`
			}
			a := s.want(422, m, "/keys/"+key, body)
			if fields, _ := a.json(t)["errors"].([]any); len(fields) == 0 {
				t.Errorf("%s %q: no errors in %s", m, key, a.body)
			}
		}
	}
	s.want(201, "PUT", "/keys/"+strings.Repeat("x", 512), `{"value":1}`)
	s.want(404, "GET", "//keys/a", "")
	s.want(404, "GET", "/x/../keys/a", "")
	s.want(404, "GET", "/keys%2Fa", "")
}

func TestListsAreCutIntoPagesByCursors(t *testing.T) {
	s := start(t, nil, nil)
	var want []string
	for i := range 25 {
		key := "app.k" + strconv.Itoa(100+i)
		want = append(want, key)
		s.want(201, "PUT", "/keys/"+key, `{"value":`+strconv.Itoa(i)+`}`)
	}
	s.want(201, "PUT", "/keys/zoo", `{"value":1}`)
	var got []string
	cursor := ""
	for pages := 0; pages == 0 || cursor != ""; pages++ {
		a := s.want(200, "GET", "/keys?namespace=app&limit=10&cursor="+cursor, "")
		var page struct {
			Keys                 []string
			Total                int
			NextCursor, Revision string
		}
		if err := json.Unmarshal([]byte(a.body), &page); err != nil {
			t.Fatal(err)
		}
		if page.Total != 25 || page.Revision == "" || strings.Contains(page.NextCursor, "app") {
			t.Errorf("page %s", a.body)
		}
		got, cursor = append(got, page.Keys...), page.NextCursor
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	first := s.want(200, "GET", "/keys?namespace=app&limit=10", "").json(t)["nextCursor"].(string)
	s.want(200, "GET", "/keys?namespace=app&limit=3&values=true&cursor="+first, "")
	for _, foreign := range []string{"/keys?cursor=" + first, "/keys?namespace=zoo&cursor=" + first, "/keys?namespace=app&access=write&cursor=" + first, "/namespaces?namespace=app&cursor=" + first} {
		s.want(400, "GET", foreign, "")
	}
	s.want(400, "GET", "/keys?namespace=app&cursor="+first, "", "as", "bob")
	flipped := []byte(first)
	flipped[20] ^= 1
	s.want(400, "GET", "/keys?namespace=app&cursor="+string(flipped), "")
}

func TestListsHoldOnlyWhatTheCallerMayRead(t *testing.T) {
	s := start(t, nil, nil)
	s.want(201, "PUT", "/keys/a.open", `{"value":1,"acls":{"read":["*"],"write":["bob"]}}`)
	s.want(201, "PUT", "/keys/a.shut", `{"value":2}`)
	if a := s.want(200, "GET", "/keys?values=true", "", "as", "bob"); !strings.Contains(a.body, `{"keys":["a.open"],"total":1,"revision":"`) ||
		!strings.Contains(a.body, `"items":[{"key":"a.open","value":1,"version":1}]`) {
		t.Errorf("bob sees %s", a.body)
	}
	if a := s.want(200, "GET", "/keys?access=write", "", "as", "carol"); !strings.Contains(a.body, `{"keys":[],"total":0`) {
		t.Errorf("carol may write %s", a.body)
	}
	exact := s.want(200, "GET", "/keys?key=a.shut&key=a.open&key=nope&key=a.open", "", "as", "bob")
	if !strings.Contains(exact.body, `{"keys":["a.open"],"total":1,`) {
		t.Errorf("bob sees exactly %s", exact.body)
	}
}

func TestNamespacesHoldTheACLOfWhatLiesInThem(t *testing.T) {
	s := start(t, nil, nil)
	if m := s.want(201, "PUT", "/namespaces/team/app", `{"acls":{"read":["*"],"admin":["alice"]}}`).json(t); m["namespace"] != "team/app" || m["version"] != 1.0 {
		t.Errorf("written: %v", m)
	}
	s.want(201, "PUT", "/keys/team/app/k", `{"value":1}`)
	s.want(200, "GET", "/keys/team/app/k", "", "as", "bob")
	a := s.want(200, "GET", "/namespaces/team%2Fapp", "", "as", "alice")
	if m := a.json(t); cmp.Diff(map[string]any{"read": []any{"*"}, "admin": []any{"alice"}}, m["acls"]) != "" || a.header.Get("Etag") != `"1"` {
		t.Errorf("alice sees %s", a.body)
	}
	if m := s.want(200, "GET", "/namespaces/team/app", "", "as", "bob").json(t); m["acls"] != nil {
		t.Errorf("bob sees %v", m)
	}
	s.want(200, "PUT", "/namespaces/team/app", `{}`, "as", "alice")
	s.want(412, "PUT", "/namespaces/team/app", `{"acls":null}`, "If-Match", `"1"`)
	s.want(200, "PUT", "/namespaces/team/app", `{"acls":null}`, "If-Match", `"2"`)
	s.want(403, "GET", "/keys/team/app/k", "", "as", "bob")
	s.want(201, "PUT", "/namespaces/*", `{"acls":{"read":["*"]}}`)
	s.want(200, "GET", "/namespaces/%2A", "")
	if a := s.want(200, "GET", "/namespaces", ""); !strings.Contains(a.body, `{"namespaces":["*","team/app"],"total":2,"revision":`) {
		t.Errorf("list %s", a.body)
	}
	s.want(204, "DELETE", "/namespaces/team/app", "")
	s.want(404, "GET", "/namespaces/team/app", "")
	s.want(422, "PUT", "/namespaces/team/", `{}`)
	s.want(422, "PUT", "/namespaces/team.", `{}`)
	s.want(422, "PUT", "/namespaces/team", `{"schema":{}}`)
}

func TestEnvironmentsAreNamedByQueryThenHeaders(t *testing.T) {
	s := start(t, nil, nil)
	s.want(201, "PUT", "/keys/k", `{"value":1}`, "X-DynConfig-Environment", "default")
	s.want(200, "GET", "/keys/k?env=default", "", "X-DynConfig-Environment", "nowhere")
	for _, h := range []string{"X-DynConfig-Environment", "X-Ironflow-Environment"} {
		if m := s.want(404, "GET", "/keys/k", "", h, "nowhere").json(t); m["message"] != "Environment does not exist" {
			t.Errorf("%s: %v", h, m)
		}
		s.want(422, "GET", "/keys/k", "", h, "No")
	}
	s.want(200, "GET", "/keys/k", "", "X-DynConfig-Environment", "default", "X-Ironflow-Environment", "nowhere")
	s.want(422, "GET", "/keys/k?env=", "")
	s.want(404, "PUT", "/keys/k?env=nowhere", `{"value":1}`)
}
