package rest_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
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
