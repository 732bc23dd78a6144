package wire

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// Problem is the body of an error answer (RFC 9457, application/problem+json). Error and Message repeat Title and Detail.
type Problem struct {
	Type      string         `json:"type" doc:"The page that explains it."`
	Title     string         `json:"title" doc:"The kind of error."`
	Status    int            `json:"status" doc:"The status of the answer."`
	Detail    string         `json:"detail" doc:"What is wrong."`
	Error     string         `json:"error" doc:"As title."`
	Message   string         `json:"message" doc:"As detail."`
	RequestID string         `json:"requestId,omitempty" doc:"Leads to the cause in the log."`
	Errors    []ProblemField `json:"errors,omitempty" doc:"The parts that are not valid."`
}

// ProblemField is one part of a request and what is wrong with it.
type ProblemField struct {
	Path   string `json:"path" doc:"A member, parameter or operation."`
	Reason string `json:"reason" doc:"What is wrong with it."`
}

// Row is one line of the table between kinds of error and HTTP. Type is the last part of "/problems/…".
type Row struct {
	Kind   error
	Status int
	Title  string
	Type   string
	Detail string // said when the error has no sentence of its own
}

// Table is the one table from kinds of error to HTTP, used by the server forwards and by clients backwards.
func Table() []Row {
	return []Row{
		{core.ErrMalformed, 400, "Bad Request", "bad-request", "Request cannot be read"},
		{core.ErrUnauthenticated, 401, "Unauthorized", "unauthorized", "Invalid JWT"},
		{core.ErrForbidden, 403, "Forbidden", "forbidden", "The policy denies this"},
		{core.ErrNotFound, 404, "Not Found", "not-found", "Key does not exist"},
		{core.ErrMethod, 405, "Method Not Allowed", "method-not-allowed", "Method is not allowed here"},
		{core.ErrConflict, 409, "Conflict", "conflict", "Another change came between; try again"},
		{core.ErrCompacted, 410, "Gone", "gone", "No longer within reach"},
		{core.ErrPrecondition, 412, "Precondition Failed", "precondition-failed", "The condition does not hold"},
		{core.ErrTooLarge, 413, "Content Too Large", "content-too-large", "Content is too large"},
		{core.ErrUnsupported, 415, "Unsupported Media Type", "unsupported-media-type", "Send application/json"},
		{core.ErrInvalid, 422, "Unprocessable Entity", "unprocessable-entity", "Request is not valid"},
		{core.ErrRateLimited, 429, "Rate Limited", "rate-limited", "Exceed the limit of requests"},
		{core.ErrInternal, 500, "Internal", "internal", "Something went wrong; the request id leads to it in the log"},
		{core.ErrUnavailable, 503, "Unavailable", "unavailable", "The store is away; try again"},
	}
}

// RowOf returns the row of an error's kind; what has none is internal.
func RowOf(err error) Row {
	kind := core.KindOf(err)
	var internal Row
	for _, r := range Table() {
		if errors.Is(r.Kind, kind) {
			return r
		}
		if errors.Is(r.Kind, core.ErrInternal) {
			internal = r
		}
	}
	return internal
}

// ProblemOf writes an error as a Problem. The text of an internal error, and every private cause, stays out.
func ProblemOf(err error, requestID string) Problem {
	row := RowOf(err)
	p := Problem{Type: "/problems/" + row.Type, Title: row.Title, Status: row.Status, Detail: row.Detail, RequestID: requestID}
	var e *core.Error
	if errors.As(err, &e) && row.Status != 500 {
		if e.Detail != "" {
			p.Detail = e.Detail
		}
		for _, f := range e.Fields {
			p.Errors = append(p.Errors, ProblemField(f))
		}
	}
	p.Error, p.Message = p.Title, p.Detail
	return p
}

// WriteError answers a request with the Problem of an error. Retry-After (503, 429) and WWW-Authenticate (401) are added
// where they are not set yet, and X-DynConfig-Stale where it was told from a view that is.
func WriteError(w http.ResponseWriter, err error, requestID string) {
	p, h := ProblemOf(err, requestID), w.Header()
	if (p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests) && h.Get("Retry-After") == "" {
		h.Set("Retry-After", strconv.Itoa(retryAfter(err)))
	}
	if p.Status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" {
		h.Set("WWW-Authenticate", `Bearer realm="dynconfig"`)
	}
	TellStale(h, core.StaleOf(err))
	text, _ := json.Marshal(p) // strings and numbers alone: cannot fail
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("Cache-Control", "no-store")
	h.Del("Etag")
	w.WriteHeader(p.Status)
	_, _ = w.Write(text) // a client that went away has nothing to be told
}

// TellStale says in the header of an answer for how long the store has been away, if it is.
func TellStale(h http.Header, d time.Duration) {
	if d > 0 {
		h.Set(HeaderStale, strconv.Itoa(int(d/time.Second)))
	}
}

// retryAfter is in how many whole seconds to try again, at least one.
func retryAfter(err error) int {
	var e *core.Error
	if !errors.As(err, &e) {
		return 1
	}
	return max(1, int((e.Retry+time.Second-1)/time.Second))
}

// Err reads a Problem back: an error of the kind that its status stands for.
func (p Problem) Err() error {
	for _, r := range Table() {
		if r.Status != p.Status {
			continue
		}
		e := &core.Error{Kind: r.Kind, Detail: p.Detail, RequestID: p.RequestID}
		for _, f := range p.Errors {
			e.Fields = append(e.Fields, core.FieldError(f))
		}
		return e
	}
	return core.Errorf(core.ErrInternal, "server answered %d %s", p.Status, p.Title)
}
