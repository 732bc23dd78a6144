package watch

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/dynconfig/dynconfig/core"
)

// checkOrigin refuses a browser's page of another origin: a present Origin must be the server's own, as the request
// names it, or stand in allowed exactly.
func checkOrigin(r *http.Request, allowed []string) error {
	present := r.Header.Values("Origin")
	if len(present) == 0 {
		return nil
	}
	origin := present[0]
	if len(present) == 1 && (slices.Contains(allowed, origin) || own(r, origin)) {
		return nil
	}
	return core.Errorf(core.ErrForbidden, "Origin is not allowed")
}

// own reports whether origin is scheme, host and port of the server that r was sent to.
func own(r *http.Request, origin string) bool {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	return strings.EqualFold(u.Scheme, scheme) && strings.EqualFold(withPort(u.Host, scheme), withPort(r.Host, scheme))
}

// withPort adds the scheme's default port to a host that names none.
func withPort(host, scheme string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	port := "80"
	if scheme == "https" {
		port = "443"
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}
