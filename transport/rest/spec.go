package rest

import (
	"encoding/json"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

const securityName = "bearer"

var rateHeaders = []string{"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}

const limitAbout = "Requests a minute of the principal. On 401, and on 429 for too many of them, failed authentications a minute of the address that the " +
	"request came from. It and its kin are not there where nothing is counted: for principals with `--rate-limit 0`, on operations that take no " +
	"token, and where a token stands that does not belong there."

// pathParams are the parameters of paths by name.
var pathParams = map[string]*huma.Param{
	"key": {
		Name: "key", In: "path", Required: true, Example: "app.ui.theme",
		Description: "1 to 512 bytes of `A-Z a-z 0-9 . _ - : @ /`. A slash may be sent as it is or as `%2F`.",
		Schema:      &huma.Schema{Type: "string", MinLength: whole(1), MaxLength: whole(core.MaxName), Pattern: "^[A-Za-z0-9._:@/-]+$"},
	},
	"namespace": {
		Name: "namespace", In: "path", Required: true, Example: "app.ui",
		Description: "A prefix of keys that ends before `.` or `/`; `*` is the root, in which everything lies.",
		Schema:      &huma.Schema{Type: "string", MinLength: whole(1), MaxLength: whole(core.MaxName), Pattern: `^([A-Za-z0-9._:@/-]+|\*)$`},
	},
	"type": {
		Name: "type", In: "path", Required: true, Example: "not-found",
		Description: "The last part of a problem's `type`.", Schema: text(),
	},
	"file": {
		Name: "file", In: "path", Required: true, Example: "styles.min.css",
		Description: "A file of the page.", Schema: text(),
	},
}

func newSpec(version string) *huma.OpenAPI {
	if version == "" {
		version = "0.0.0"
	}
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "DynConfig", Version: version,
			Description: "Stores, guards and streams configuration. Members that a request does not have, members in another case and repeated ones are refused.",
			Contact:     &huma.Contact{Name: "DynConfig", URL: "https://github.com/dynconfig/dynconfig"},
			License:     &huma.License{Name: "MIT", Identifier: "MIT"},
		},
		Servers: []*huma.Server{{URL: "/", Description: "This server"}},
		Tags: []*huma.Tag{
			{Name: "keys", Description: "Values under names."},
			{Name: "namespaces", Description: "Who may what in a part of the keys."},
			{Name: "policy", Description: "The rules that decide every access: changed, tested, explained."},
			{Name: "watch", Description: "Changes as they happen."},
			{Name: "server", Description: "How the server is."},
			{Name: "documentation", Description: "What the server says of itself."},
		},
		Components: &huma.Components{
			Schemas:   huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
			Responses: map[string]*huma.Response{},
			Headers: map[string]*huma.Header{
				wire.HeaderRequestID: headerDoc("The id of the request: yours, if you sent a sane one.", "4QZK6M2X7Y5VJ3N8", text()),
				wire.HeaderRevision:  headerDoc("The revision of the write.", "k3v9x2p7:418", text()),
				wire.HeaderStale:     headerDoc("Seconds for which the store has been away; without it, it is not. Reads go on from what the node holds, and so do their refusals.", 12, &huma.Schema{Type: "integer"}),
				"ETag":               headerDoc("The version shown, in quotes.", `"4"`, text()),
				rateHeaders[0]:       headerDoc(limitAbout, 1000, &huma.Schema{Type: "integer"}),
				rateHeaders[1]:       headerDoc("How many of these are left now.", 999, &huma.Schema{Type: "integer"}),
				rateHeaders[2]:       headerDoc("Seconds until all are there again.", 1, &huma.Schema{Type: "integer"}),
				"Retry-After":        headerDoc("Seconds after which to try again.", 1, &huma.Schema{Type: "integer"}),
				"WWW-Authenticate":   headerDoc("How to authenticate.", `Bearer realm="dynconfig"`, text()),
				"Allow":              headerDoc("The methods that the path has.", "GET, HEAD, OPTIONS", text()),
			},
			SecuritySchemes: map[string]*huma.SecurityScheme{securityName: {
				Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "A signed JWT whose `username` claim is the principal.",
			}},
		},
	}
}

func headerDoc(about string, example any, schema *huma.Schema) *huma.Header {
	return &huma.Header{Description: about, Example: example, Schema: schema}
}

// finishSpec adds the errors that operations refer to, and lets the shapes of answers grow: a new member must break no client.
func finishSpec(spec *huma.OpenAPI) {
	used := map[string]bool{}
	for _, item := range spec.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Put, item.Post, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			for _, r := range op.Responses {
				used[r.Ref] = true
			}
		}
	}
	problem := spec.Components.Schemas.Schema(reflect.TypeOf(wire.Problem{}), true, "")
	for _, row := range wire.Table() {
		if name := componentName(row); used["#/components/responses/"+name] {
			spec.Components.Responses[name] = errorDoc(row, problem)
		}
	}
	used = map[string]bool{}
	for _, r := range spec.Components.Responses {
		for h := range r.Headers {
			used[h] = true
		}
	}
	if !used["Allow"] {
		delete(spec.Components.Headers, "Allow")
	}
	for _, s := range spec.Components.Schemas.Map() {
		s.AdditionalProperties = nil
		for _, member := range s.Properties {
			member.Nullable = false // a list that is there is never null
			if member.Items != nil {
				member.Items.Nullable = false
			}
		}
	}
}

func errorDoc(row wire.Row, problem *huma.Schema) *huma.Response {
	p := wire.ProblemOf(row.Kind, "4QZK6M2X7Y5VJ3N8")
	if row.Status == http.StatusUnprocessableEntity {
		p.Errors = []wire.ProblemField{{Path: "ttl", Reason: "must be a whole number of seconds, 1 to 315360000, or null"}}
	}
	headers := append([]string{wire.HeaderRequestID}, rateHeaders...)
	switch row.Status {
	case http.StatusUnauthorized:
		headers = append(headers, "WWW-Authenticate")
	case http.StatusForbidden, http.StatusNotFound:
		headers = append(headers, wire.HeaderStale)
	case http.StatusServiceUnavailable:
		headers = append(headers, "Retry-After")
	case http.StatusTooManyRequests:
		headers = append(headers, "Retry-After")
	}
	r := &huma.Response{
		Description: problemTexts[row.Type], Headers: map[string]*huma.Param{},
		Content: map[string]*huma.MediaType{"application/problem+json": {Schema: problem, Example: json.RawMessage(marshal(p))}},
	}
	for _, h := range headers {
		r.Headers[h] = &huma.Param{Ref: "#/components/headers/" + h}
	}
	return r
}
