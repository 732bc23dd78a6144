package watch

import (
	"errors"
	"net/http"
	"strings"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// authenticate finds and verifies the token of a request and counts the watch. A nil subject means that a WebSocket will
// bring its token in the first message.
func (h *Handler) authenticate(w http.ResponseWriter, r *http.Request) (*core.Subject, error) {
	offered, err := offeredToken(r)
	if err != nil {
		return nil, err
	}
	inHeader := len(r.Header.Values("Authorization")) > 0
	switch {
	case inHeader && offered != "":
		return nil, core.Errorf(core.ErrMalformed, "Send one token: in Authorization or as a subprotocol")
	case offered != "":
		return h.admit(w, r, offered)
	case !inHeader && isUpgrade(r):
		if err := h.o.Stray(r); errors.Is(err, core.ErrMalformed) {
			return nil, err
		}
		return nil, nil
	}
	subject, budget, err := h.o.Authenticate(r)
	tellBudget(w.Header(), budget)
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
	subject, err := h.o.Verify(r.Context(), token)
	if err != nil {
		return nil, err
	}
	budget := h.o.Take(r.Context(), subject.Username, 1)
	tellBudget(w.Header(), budget)
	if !budget.Allowed {
		return nil, exceeded(budget)
	}
	return subject, nil
}

// offeredToken returns the token in the subprotocols, "" if there is none. It stands beside the protocol that is then
// answered: a token alone would have to be echoed, which nobody should do.
func offeredToken(r *http.Request) (string, error) {
	token, count := "", 0
	for _, p := range elements(r.Header, "Sec-WebSocket-Protocol") {
		if t, ok := strings.CutPrefix(p, wire.BearerPrefix); ok {
			token, count = t, count+1
		}
	}
	switch {
	case count == 0:
		return "", nil
	case count > 1:
		return "", core.Errorf(core.ErrMalformed, "Offer one token")
	case !hasToken(r.Header, "Sec-WebSocket-Protocol", wire.Subprotocol):
		return "", core.Errorf(core.ErrMalformed, "Offer the subprotocol %s beside the token", wire.Subprotocol)
	case token == "":
		return "", core.Errorf(core.ErrUnauthenticated, "Invalid JWT")
	}
	return token, nil
}
