package watch

import (
	"errors"
	"net/http"
	"strings"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/transport/auth"
	"github.com/dynconfig/dynconfig/wire"
)

// authenticate finds and verifies the token of a request and counts the watch. A nil subject means that a WebSocket will
// bring its token in the first message.
func (h *Handler) authenticate(w http.ResponseWriter, r *http.Request) (*core.Subject, error) {
	token, offered, err := offeredToken(r)
	if err != nil {
		return nil, err
	}
	inHeader := len(r.Header.Values("Authorization")) > 0
	switch {
	case inHeader && offered:
		return nil, core.Errorf(core.ErrMalformed, "Send one token: in Authorization or as a subprotocol")
	case offered:
		return h.admit(w, r, token)
	case !inHeader && isUpgrade(r):
		if err := h.o.Stray(r); errors.Is(err, core.ErrMalformed) {
			return nil, err
		}
		budget, err := h.o.Await(r.Context(), h.o.Address(r))
		if err != nil {
			auth.WriteHeaders(w.Header(), budget, nil)
		}
		return nil, err
	}
	subject, budget, err := h.o.Authenticate(r)
	auth.WriteHeaders(w.Header(), budget, nil)
	switch {
	case err != nil:
		return nil, err
	case subject == nil:
		return nil, core.Errorf(core.ErrUnauthenticated, "Invalid JWT")
	case !budget.Allowed:
		return nil, exceeded(budget)
	}
	return subject, nil
}

// admit verifies a token that a browser offered as a subprotocol, the one place where it can put one.
func (h *Handler) admit(w http.ResponseWriter, r *http.Request, token string) (*core.Subject, error) {
	subject, budget, err := h.o.Verify(r.Context(), token, h.o.Address(r))
	if err != nil {
		auth.WriteHeaders(w.Header(), budget, nil)
		return nil, err
	}
	budget = h.o.Take(r.Context(), subject.Username, 1)
	auth.WriteHeaders(w.Header(), budget, nil)
	if !budget.Allowed {
		return nil, exceeded(budget)
	}
	return subject, nil
}

// offeredToken returns the token in the subprotocols, if there is one. It stands beside the protocol that is then answered:
// a token alone would have to be echoed, which nobody should do.
func offeredToken(r *http.Request) (token string, offered bool, err error) {
	for _, p := range elements(r.Header, "Sec-WebSocket-Protocol") {
		t, is := strings.CutPrefix(p, wire.BearerPrefix)
		switch {
		case is && offered:
			return "", false, core.Errorf(core.ErrMalformed, "Offer one token")
		case is:
			token, offered = t, true
		}
	}
	if offered && !hasToken(r.Header, "Sec-WebSocket-Protocol", wire.Subprotocol) {
		return "", false, core.Errorf(core.ErrMalformed, "Offer the subprotocol %s beside the token", wire.Subprotocol)
	}
	return token, offered, nil
}
