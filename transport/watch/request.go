package watch

import (
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// asked is what a request's line and headers say, apart from its token.
type asked struct {
	environment string
	subscribe   *core.Subscription // on the URL; nil: none
	upgrade     bool               // to a WebSocket, else text/event-stream
	min         *core.Position     // the node must have come so far before the watch begins; nil: not asked
}

// parseRequest reads the request line and headers strictly: a parameter that is unknown, repeated or not valid is refused
// before anything is opened.
func parseRequest(r *http.Request) (asked, error) {
	a := asked{upgrade: isUpgrade(r)}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return a, core.Errorf(core.ErrMalformed, "Query cannot be read")
	}
	if a.environment, err = environment(r.Header, query); err != nil {
		return a, err
	}
	if a.subscribe, err = parseSubscription(query); err != nil {
		return a, err
	}
	if a.min, err = minRevision(r.Header); err != nil {
		return a, err
	}
	switch {
	case a.upgrade:
		return a, checkUpgrade(r)
	case !accepts(r.Header, "text/event-stream"):
		return a, core.Errorf(core.ErrMalformed, "A watch is a WebSocket upgrade, or a GET that accepts text/event-stream")
	}
	if last := r.Header.Get("Last-Event-ID"); last != "" && a.subscribe != nil {
		if _, err := core.ParsePosition(last); err != nil {
			return a, core.Errorf(core.ErrMalformed, "Last-Event-ID is not a revision that this server gave out")
		}
		a.subscribe.SinceRevision, a.subscribe.SinceVersion, a.subscribe.Snapshot = last, nil, false
	}
	if a.subscribe == nil {
		return a, core.Errorf(core.ErrMalformed, "Name what to watch: ?subscribe=<pattern>")
	}
	return a, nil
}

// isUpgrade reports whether a request asks for a WebSocket.
func isUpgrade(r *http.Request) bool {
	return hasToken(r.Header, "Connection", "upgrade") && hasToken(r.Header, "Upgrade", "websocket")
}

// checkUpgrade refuses handshakes that the WebSocket library would refuse without a problem document.
func checkUpgrade(r *http.Request) error {
	if !r.ProtoAtLeast(1, 1) {
		return errOldHTTP
	}
	if r.Header.Get("Sec-WebSocket-Version") != "13" {
		return errVersion
	}
	keys := r.Header.Values("Sec-WebSocket-Key")
	if len(keys) == 1 {
		if key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(keys[0])); err == nil && len(key) == 16 {
			return nil
		}
	}
	return core.Errorf(core.ErrMalformed, "Sec-WebSocket-Key must be 16 bytes in base64")
}

// The refusals to which RFC 6455 (sections 4.2.2 and 4.4) gives a header that says how it would go; refuse sets it.
var (
	errOldHTTP = core.Errorf(core.ErrMalformed, "A WebSocket takes HTTP/1.1")
	errVersion = core.Errorf(core.ErrMalformed, "Sec-WebSocket-Version must be 13")
)

// minRevision is the revision that the client knows of already.
func minRevision(h http.Header) (*core.Position, error) {
	values := h.Values(wire.HeaderMinRevision)
	if len(values) == 0 {
		return nil, nil
	}
	p, err := core.ParsePosition(strings.Clone(values[0]))
	if err != nil || len(values) > 1 {
		return nil, core.Errorf(core.ErrMalformed, "%s is not a revision that this server gave out", wire.HeaderMinRevision)
	}
	return &p, nil
}

// environment is the query's, else a header's, else the default.
func environment(h http.Header, query url.Values) (string, error) {
	name := query.Get("env")
	for _, header := range []string{wire.HeaderEnvironment, wire.HeaderIronflowEnv} {
		if !query.Has("env") && name == "" {
			name = h.Get(header)
		}
	}
	if name == "" && !query.Has("env") {
		name = "default"
	}
	return strings.Clone(name), core.CheckEnvironment(name) // a clone, lest a watch keeps its whole request
}

// parseSubscription reads ?subscribe=…&since_revision=…|since_version=…|snapshot=true&every=true; nil if there is none.
func parseSubscription(query url.Values) (*core.Subscription, error) {
	var (
		o   options
		err error
	)
	optional := ""
	for name, values := range query {
		if len(values) > 1 && name != "subscribe" {
			return nil, core.Errorf(core.ErrMalformed, "Parameter %q stands there twice", name)
		}
		value := strings.Clone(values[0])
		switch name {
		case "env", "subscribe":
			continue
		case "since_revision":
			o.revision = &value
		case "since_version":
			var n int64
			n, err = strconv.ParseInt(value, 10, 64)
			o.version = &n
		case "snapshot":
			o.snapshot, err = parseBool(value)
		case "every":
			o.every, err = parseBool(value)
		default:
			return nil, core.Errorf(core.ErrMalformed, "Parameter %q is unknown", name)
		}
		if err != nil {
			return nil, core.Errorf(core.ErrMalformed, "Parameter %q cannot be read", name)
		}
		optional = name
	}
	if !query.Has("subscribe") {
		if optional != "" {
			return nil, core.Errorf(core.ErrMalformed, "%s stands only beside subscribe", optional)
		}
		return nil, nil
	}
	s := &core.Subscription{}
	for _, text := range query["subscribe"] {
		p, err := core.ParsePattern(strings.Clone(text))
		if err != nil {
			return nil, core.Errorf(core.ErrMalformed, "%s", sentence(err))
		}
		s.Patterns = append(s.Patterns, p.Text)
	}
	if f := o.apply(s); f != nil {
		return nil, core.Errorf(core.ErrMalformed, "%s", f.text)
	}
	if len(s.Patterns) > core.MaxPatterns {
		return nil, core.Errorf(core.ErrMalformed, "More than %d patterns", core.MaxPatterns)
	}
	return s, nil
}

func parseBool(s string) (bool, error) {
	if s == "true" || s == "false" {
		return s == "true", nil
	}
	return false, strconv.ErrSyntax
}

// addressOf is the address of the other side without its port.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// hasToken reports whether a comma-separated header holds token in any case.
func hasToken(h http.Header, name, token string) bool {
	for _, t := range elements(h, name) {
		if strings.EqualFold(t, token) {
			return true
		}
	}
	return false
}

// accepts reports whether the Accept header names a media type.
func accepts(h http.Header, media string) bool {
	for _, e := range elements(h, "Accept") {
		if t, _, _ := strings.Cut(e, ";"); strings.EqualFold(strings.TrimSpace(t), media) {
			return true
		}
	}
	return false
}

// elements splits the comma-separated lines of a header.
func elements(h http.Header, name string) []string {
	var all []string
	for _, line := range h.Values(name) {
		for e := range strings.SplitSeq(line, ",") {
			all = append(all, strings.TrimSpace(e))
		}
	}
	return all
}
