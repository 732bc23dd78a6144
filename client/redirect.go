package client

import (
	"net/http"
	"strings"

	"github.com/dynconfig/dynconfig/core"
)

// unredirected is an HTTP client like another one that follows no redirect: that would make a GET out of a PUT, or show the
// token and the value to another host.
func unredirected(from *http.Client) *http.Client {
	if from == nil {
		from = http.DefaultClient
	}
	c := *from
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// redirects reports whether a status sends the caller elsewhere.
func redirects(status int) bool {
	return status >= 300 && status < 400 && status != http.StatusNotModified
}

// redirected is the error of an answer that sends a call of an escaped path elsewhere. It names the address there, without
// what may be secret in it.
func redirected(res *http.Response, path string) error {
	to, err := res.Location()
	if err != nil {
		return core.Errorf(core.ErrUnsupported, "Server redirects, but not to an address").Because(err)
	}
	to.User, to.RawQuery, to.ForceQuery, to.Fragment = nil, "", false, ""
	address := strings.TrimRight(strings.TrimSuffix(to.String(), path), "/")
	return core.Errorf(core.ErrUnsupported, "Server redirects to %s: give that address with --server", address)
}
