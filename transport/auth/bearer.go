package auth

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/dynconfig/dynconfig/core"
)

// errNoToken is the private cause of an answer to a request that brought no token.
var errNoToken = errors.New("no token")

// Bearer returns the token of a request, which comes in "Authorization: Bearer" alone. Without one it is
// ErrUnauthenticated; a token in the query or in a cookie, which end up in logs and histories, is ErrMalformed.
func Bearer(r *http.Request) (string, error) {
	if tokenInQuery(r.URL.RawQuery) {
		return "", core.Errorf(core.ErrMalformed, "A token in the query is refused: send Authorization: Bearer")
	}
	headers := r.Header.Values("Authorization")
	if _, sent := r.Header["Cookie"]; sent && tokenInCookie(r, len(headers) == 0) {
		return "", core.Errorf(core.ErrMalformed, "A token in a cookie is refused: send Authorization: Bearer")
	}
	switch len(headers) {
	case 0:
		return "", invalid(errNoToken)
	case 1:
		return parseAuthorization(headers[0])
	}
	return "", core.Errorf(core.ErrMalformed, "Authorization is sent more than once")
}

func parseAuthorization(header string) (string, error) {
	scheme, token, _ := strings.Cut(strings.TrimSpace(header), " ")
	token = strings.TrimLeft(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", invalid(errNoToken)
	}
	return token, nil
}

// tokenName reports whether a parameter or cookie of that name would hold a token.
func tokenName(name string) bool {
	return strings.EqualFold(name, "access_token") || strings.EqualFold(name, "token") || strings.EqualFold(name, "jwt")
}

func tokenInQuery(query string) bool {
	for query != "" {
		var parameter string
		parameter, query, _ = strings.Cut(query, "&")
		name, _, _ := strings.Cut(parameter, "=")
		if strings.ContainsAny(name, "%+") {
			if plain, err := url.QueryUnescape(name); err == nil {
				name = plain
			}
		}
		if tokenName(name) {
			return true
		}
	}
	return false
}

// tokenInCookie reports whether a cookie brings a token: by its name or, where nothing else does, by its looks. Beside a
// proper header the looks do not matter: other programs on the same host share their cookies with us.
func tokenInCookie(r *http.Request, byLooks bool) bool {
	for _, c := range r.Cookies() {
		if tokenName(c.Name) || byLooks && looksLikeToken(c.Value) {
			return true
		}
	}
	return false
}

func looksLikeToken(s string) bool {
	return strings.HasPrefix(s, "eyJ") && strings.Count(s, ".") == 2
}
