package rest

import (
	"cmp"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// operation is one row of the table: what the document says of a method on a path, and what runs.
type operation struct {
	method, path   string
	id, tag        string
	summary, about string
	public         bool // needs no token
	given          bool // a handler from Options reads the request itself
	selfGuarded    bool // and authenticates it too: a stream
	params         []*param
	body           *huma.RequestBody
	answers        []answer
	errors         []error // kinds, beside those that every operation may answer
	run            func(*call) error
	foreign        []*huma.Param // parameters of a given handler
}

// answer is a success as the document tells it.
type answer struct {
	status  int
	about   string
	media   string            // application/json if empty
	others  map[string]string // further media types of the same, each with an example
	shape   any               // a value of the body's type; nil: no body
	example string            // JSON, or text of another media type
	headers []string
}

// Kinds of error and headers that many operations have in common.
var (
	writeErrors  = []error{core.ErrForbidden, core.ErrNotFound, core.ErrConflict, core.ErrPrecondition, core.ErrTooLarge}
	bodyErrors   = []error{core.ErrUnsupported}
	guardErrors  = []error{core.ErrUnauthenticated, core.ErrInvalid, core.ErrRateLimited, core.ErrInternal, core.ErrUnavailable}
	writeHeaders = []string{"ETag", wire.HeaderRevision}
)

// operations is the table.
func (s *Server) operations() []*operation {
	return slices.Concat(keyOperations(), namespaceOperations(), policyOperations(), s.watchOperations(), s.stateOperations(), s.pageOperations())
}

// document says of an operation what OpenAPI can tell.
func (op *operation) document(schemas huma.Registry) *huma.Operation {
	d := &huma.Operation{
		Method: op.method, Path: op.path, OperationID: op.id, Tags: []string{op.tag}, Summary: op.summary, Description: op.about,
		RequestBody: op.body, Responses: map[string]*huma.Response{}, Security: []map[string][]string{{securityName: {}}},
	}
	if name, ok := pathParam(op.path); ok {
		d.Parameters = append(d.Parameters, pathParams[name])
	}
	for _, p := range op.params {
		d.Parameters = append(d.Parameters, &p.Param)
	}
	d.Parameters = append(d.Parameters, op.foreign...)
	for _, a := range op.answers {
		d.Responses[strconv.Itoa(a.status)] = a.document(schemas, !op.public)
	}
	errs := append(slices.Clone(op.errors), core.ErrMalformed)
	if op.public {
		d.Security = []map[string][]string{}
	} else {
		errs = append(errs, guardErrors...)
	}
	for _, kind := range errs {
		row := wire.RowOf(kind)
		d.Responses[strconv.Itoa(row.Status)] = &huma.Response{Ref: "#/components/responses/" + componentName(row)}
	}
	return d
}

func (a answer) document(schemas huma.Registry, limited bool) *huma.Response {
	r := &huma.Response{Description: a.about, Headers: map[string]*huma.Param{}}
	for _, h := range append([]string{wire.HeaderRequestID}, a.headers...) {
		r.Headers[h] = &huma.Param{Ref: "#/components/headers/" + h}
	}
	if limited {
		for _, h := range rateHeaders {
			r.Headers[h] = &huma.Param{Ref: "#/components/headers/" + h}
		}
	}
	if a.shape == nil {
		return r
	}
	media, example := cmp.Or(a.media, "application/json"), any(a.example)
	if strings.HasSuffix(media, "json") {
		example = json.RawMessage(a.example)
	}
	r.Content = map[string]*huma.MediaType{media: {
		Schema: schemas.Schema(reflect.TypeOf(a.shape), true, ""), Example: example,
	}}
	for media, example := range a.others {
		r.Content[media] = &huma.MediaType{Schema: schemas.Schema(reflect.TypeOf(a.shape), true, ""), Example: example}
	}
	return r
}

// pathParam returns the name of a path's parameter.
func pathParam(path string) (string, bool) {
	_, rest, ok := strings.Cut(path, "{")
	name, _, _ := strings.Cut(rest, "}")
	return name, ok
}

// componentName is a row's title as the name of a component.
func componentName(row wire.Row) string { return strings.ReplaceAll(row.Title, " ", "") }
