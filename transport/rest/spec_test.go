package rest_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/dynconfig/dynconfig/transport/rest"
)

var update = flag.Bool("update", false, "write testdata/openapi.json anew")

// document is the OpenAPI document as it would be served, with line breaks.
func document(t *testing.T) []byte {
	t.Helper()
	raw, err := rest.New(nil, rest.Options{Version: "1.0.0"}).OpenAPI().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		t.Fatal(err)
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// The file is there for eyes and linters: a change of the interface shows in its diff. `go test -update` writes it.
func TestTheDocumentIsTheOneThatWasReadOver(t *testing.T) {
	const file = "testdata/openapi.json"
	got := document(t)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the document is not %s: look at what changed, then run go test ./transport/rest -update", file)
	}
}

func TestEveryOperationIsDescribedWithExamples(t *testing.T) {
	var doc struct {
		Paths      map[string]map[string]map[string]any
		Components struct {
			Responses map[string]map[string]any
		}
	}
	if err := json.Unmarshal(document(t), &doc); err != nil {
		t.Fatal(err)
	}
	shown := func(where string, content any) {
		for media, m := range content.(map[string]any) {
			if m := m.(map[string]any); m["example"] == nil || m["schema"] == nil {
				t.Errorf("%s %s: no example or schema", where, media)
			}
		}
	}
	operations := 0
	for path, methods := range doc.Paths {
		for method, op := range methods {
			operations++
			where := method + " " + path
			if op["summary"] == nil || op["description"] == nil || op["operationId"] == nil {
				t.Errorf("%s has no words", where)
			}
			for _, p := range asList(op["parameters"]) {
				if p := p.(map[string]any); p["description"] == nil || p["example"] == nil || p["schema"] == nil {
					t.Errorf("%s: parameter %v has no words, example or schema", where, p["name"])
				}
			}
			if body, ok := op["requestBody"].(map[string]any); ok {
				shown(where, body["content"])
			}
			for status, r := range op["responses"].(map[string]any) {
				r := r.(map[string]any)
				if name, ok := strings.CutPrefix(asString(r["$ref"]), "#/components/responses/"); ok {
					if r = doc.Components.Responses[name]; r == nil {
						t.Errorf("%s %s refers to %s, which is not there", where, status, name)
						continue
					}
				}
				if r["description"] == nil || r["description"] == "" {
					t.Errorf("%s %s has no words", where, status)
				}
				if content := r["content"]; content != nil {
					shown(where+" "+status, content)
				}
			}
		}
	}
	if operations < 17 {
		t.Errorf("%d operations", operations)
	}
}

func asList(v any) []any { l, _ := v.([]any); return l }

func asString(v any) string { s, _ := v.(string); return s }

func TestAnAnswerBearsNoTypeAndNoHeaderThatTheDocumentDoesNotName(t *testing.T) {
	var doc struct {
		Paths      map[string]map[string]struct{ Responses map[string]map[string]any }
		Components struct {
			Responses map[string]map[string]any
			Headers   map[string]any
		}
	}
	if err := json.Unmarshal(document(t), &doc); err != nil {
		t.Fatal(err)
	}
	s := start(t, nil, nil)
	s.want(201, "PUT", "/keys/app.a", `{"value":1}`)
	for _, q := range []struct {
		path, sent string
		status     int
		headers    []string
	}{
		{path: "/keys", sent: "/keys", status: 200},
		{path: "/keys", sent: "/keys?limit=none", status: 400},
		{path: "/keys", sent: "/keys", status: 401, headers: []string{"as", ""}},
		{path: "/keys", sent: "/keys", status: 429, headers: []string{"as", "tired"}},
		{path: "/keys/{key}", sent: "/keys/app.a", status: 200},
		{path: "/keys/{key}", sent: "/keys/app.a?since_version=1", status: 304},
		{path: "/keys/{key}", sent: "/keys/app.a", status: 403, headers: []string{"as", "mallory"}},
		{path: "/keys/{key}", sent: "/keys/app.b", status: 404},
		{path: "/keys/{key}", sent: "/keys/b%20b", status: 422},
		{path: "/namespaces", sent: "/namespaces", status: 200},
		{path: "/namespaces/{namespace}", sent: "/namespaces/app", status: 404},
		{path: "/docs", sent: "/docs", status: 200, headers: []string{"as", ""}},
		{path: "/docs/{file}", sent: "/docs/", status: 200, headers: []string{"as", ""}},
		{path: "/docs/{file}", sent: "/docs/styles.min.css", status: 200, headers: []string{"as", ""}},
		{path: "/docs/{file}", sent: "/docs/web-components.min.js", status: 200, headers: []string{"as", ""}},
		{path: "/docs/{file}", sent: "/docs/none", status: 404, headers: []string{"as", ""}},
		{path: "/problems/{type}", sent: "/problems/not-found", status: 200, headers: []string{"as", ""}},
		{path: "/openapi.yaml", sent: "/openapi.yaml", status: 200, headers: []string{"as", ""}},
	} {
		got := s.want(q.status, "GET", q.sent, "", q.headers...)
		told := doc.Paths[q.path]["get"].Responses[strconv.Itoa(q.status)]
		if name, ok := strings.CutPrefix(asString(told["$ref"]), "#/components/responses/"); ok {
			told = doc.Components.Responses[name]
		}
		content, _ := told["content"].(map[string]any)
		if media, _, _ := strings.Cut(got.header.Get("Content-Type"), ";"); (media != "" || content != nil) && content[media] == nil {
			t.Errorf("GET %s %d: type %q is not among those of the document", q.sent, q.status, media)
		}
		headers, _ := told["headers"].(map[string]any)
		for name := range doc.Components.Headers {
			if got.header.Get(name) != "" && headers[name] == nil {
				t.Errorf("GET %s %d: the document does not name %s", q.sent, q.status, name)
			}
		}
	}
}
