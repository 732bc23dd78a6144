package rest

import (
	"encoding/json"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/dynconfig/dynconfig/core"
)

// Schemas of bodies that requests bring. Answers' are made from the types of package wire; these could not be, since a
// member that is absent and one that is null do not say the same.

func aclSchema(null string) *huma.Schema {
	list := func(about string) *huma.Schema {
		return nullable(&huma.Schema{
			Type: "array", Items: &huma.Schema{Type: "string", MinLength: whole(1), MaxLength: whole(core.MaxUsername + 1)},
			Description: about + " A principal, or the beginning of many with `*` at its end. `[]` is nobody; absent or `null` is inherited.",
		})
	}
	return nullable(&huma.Schema{
		Type: "object", Description: "Who may what. " + null, AdditionalProperties: false,
		Properties: map[string]*huma.Schema{
			"read": list("Who may read."), "write": list("Who may write and delete."), "admin": list("Who may do everything, and change this."),
		},
	})
}

func nullable(s *huma.Schema) *huma.Schema {
	s.Nullable = true
	return s
}

func keyBody(need ...string) *huma.RequestBody {
	seconds := core.MaxTTL / time.Second
	return jsonBody(&huma.Schema{
		Type: "object", AdditionalProperties: false, Required: need,
		Properties: map[string]*huma.Schema{
			"value": {Description: "Any JSON value, at most 1,048,576 bytes and 64 levels deep. It comes back byte for byte."},
			"ttl": nullable(&huma.Schema{
				Type: "integer", Format: "int64", Minimum: bound(1), Maximum: bound(float64(seconds)),
				Description: "Seconds after which the key expires; `null` removes it.",
			}),
			"acls": aclSchema("`null` removes it."),
		},
	}, `{"value":{"dark":true},"ttl":3600,"acls":{"read":["*"],"write":["service:ui"],"admin":["alice"]}}`)
}

func namespaceBody() *huma.RequestBody {
	return jsonBody(&huma.Schema{
		Type: "object", AdditionalProperties: false,
		Properties: map[string]*huma.Schema{"acls": aclSchema("`null` removes it.")},
	}, `{"acls":{"read":["*"],"write":["service:ui"]}}`)
}

func jsonBody(schema *huma.Schema, example string) *huma.RequestBody {
	return &huma.RequestBody{
		Required: true,
		Content:  map[string]*huma.MediaType{"application/json": {Schema: schema, Example: json.RawMessage(example)}},
	}
}
