package rest

import (
	"cmp"
	"embed"
	"html/template"
	"net/http"
	"sync"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

//go:embed docs/index.html docs/web-components.min.js docs/styles.min.css
var docsFiles embed.FS

// docsTypes are the files of the page under /docs.
var docsTypes = map[string]string{
	"index.html": "text/html; charset=utf-8", "web-components.min.js": "text/javascript; charset=utf-8", "styles.min.css": "text/css; charset=utf-8",
}

// docsPolicy lets the page load from this server alone; its components write style attributes.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src 'self' data:; " +
	"font-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// problemTexts say when a type of problem is answered.
var problemTexts = map[string]string{
	"bad-request":            "The request cannot be read: broken JSON, a member that stands there twice, a parameter or header that is unknown or not valid, a token in the query or a cookie.",
	"unauthorized":           "There is no token, or one that does not verify.",
	"forbidden":              "The policy does not allow this to the principal of the token.",
	"not-found":              "There is no such key, namespace, environment or page.",
	"method-not-allowed":     "The path is there, but not for this method. The Allow header names those it has.",
	"conflict":               "Other changes came between until the server gave up trying again, or a request with the same idempotency key is under way.",
	"gone":                   "The revision is out of reach: no longer kept, or of another history of the store.",
	"precondition-failed":    "If-Match or If-None-Match does not hold. Nothing was changed.",
	"content-too-large":      "The value, or the whole body, is larger than the server takes.",
	"unsupported-media-type": "The body is not application/json.",
	"unprocessable-entity":   "The request can be read but is not valid: the syntax of a name, an unknown member, a value of the wrong type. The errors list each path and reason.",
	"rate-limited":           "The principal has used up its requests for now. Retry-After says when to come back.",
	"internal":               "A defect of the server. The request id leads to the cause in its log.",
	"unavailable":            "The store is away, or does not reach the wanted revision in time. Retry-After says when to come back.",
}

var problemPage = template.Must(template.New("problem").Parse(`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{{.Status}} {{.Title}}</title></head>
<body><h1>{{.Status}} {{.Title}}</h1><p>{{.Text}}</p></body>
</html>
`))

func (s *Server) pageOperations() []*operation {
	jsonText := sync.OnceValues(s.spec.MarshalJSON)
	yamlText := sync.OnceValues(s.spec.YAML)
	page := func(path, id, summary, media, example string, run func(*call) error) *operation {
		return &operation{
			method: http.MethodGet, path: path, id: id, tag: "documentation", summary: summary, about: summary + ".", public: true, run: run,
			answers: []answer{{status: 200, about: "The page.", media: media, shape: "", example: example}},
			errors:  []error{core.ErrNotFound},
		}
	}
	spec := func(media string, text func() ([]byte, error)) func(*call) error {
		return func(c *call) error {
			b, err := text()
			if err != nil {
				return err
			}
			c.page(media, "default-src 'none'", b)
			return nil
		}
	}
	file := page("/docs/{file}", "docsFile", "A file of that page", "text/css", "body{}", func(c *call) error { return c.docs(cmp.Or(c.param, "index.html")) })
	file.answers[0].others = map[string]string{"text/javascript": "export {};", "text/html": "<!doctype html>"}
	return []*operation{
		{
			method: http.MethodGet, path: "/openapi.json", id: "openapiJSON", tag: "documentation", summary: "This document", about: "As JSON.",
			public: true, run: spec("application/json", jsonText),
			answers: []answer{{status: 200, about: "The document.", shape: map[string]any{}, example: `{"openapi":"3.1.0"}`}},
		},
		page("/openapi.yaml", "openapiYAML", "This document as YAML", "application/yaml", "openapi: 3.1.0\n", spec("application/yaml", yamlText)),
		page("/docs", "docs", "This document to read", "text/html", "<!doctype html>", func(c *call) error { return c.docs("index.html") }),
		file,
		page("/problems/{type}", "problem", "What a type of problem means", "text/html", "<!doctype html>", problemTypePage),
	}
}

func (c *call) docs(name string) error {
	media, ok := docsTypes[name]
	text, err := docsFiles.ReadFile("docs/" + name)
	if !ok || err != nil {
		return core.Errorf(core.ErrNotFound, "There is nothing at this path")
	}
	c.page(media, docsPolicy, text)
	return nil
}

func problemTypePage(c *call) error {
	for _, row := range wire.Table() {
		if row.Type != c.param {
			continue
		}
		c.w.Header().Set("Content-Type", "text/html; charset=utf-8")
		c.w.Header().Set("Content-Security-Policy", "default-src 'none'")
		return problemPage.Execute(c, map[string]any{"Status": row.Status, "Title": row.Title, "Text": problemTexts[row.Type]})
	}
	return core.Errorf(core.ErrNotFound, "There is no such problem")
}

// page answers with something to look at.
func (c *call) page(media, policy string, text []byte) {
	h := c.w.Header()
	h.Set("Content-Type", media)
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	c.WriteHeader(http.StatusOK)
	_, _ = c.Write(text) // a client that went away has nothing to be told
}
