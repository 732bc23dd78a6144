package watch

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/transport/auth"
	"github.com/dynconfig/dynconfig/wire"
)

// refuse answers a request that opens no watch.
func (h *Handler) refuse(w http.ResponseWriter, err error) {
	id := w.Header().Get(wire.HeaderRequestID)
	p := wire.ProblemOf(err, id)
	if p.Status == http.StatusInternalServerError {
		h.o.Logger.Error("watch refused", "requestId", id, "error", err)
	}
	header := w.Header()
	header.Set("Content-Type", "application/problem+json")
	header.Set("Cache-Control", "no-store")
	switch {
	case errors.Is(err, errVersion):
		header.Set("Sec-WebSocket-Version", "13")
	case errors.Is(err, errOldHTTP):
		p.Type, p.Status, p.Title, p.Error = "about:blank", http.StatusUpgradeRequired, "Upgrade Required", "Upgrade Required"
		header.Set("Upgrade", "websocket")
	}
	wire.TellStale(header, core.StaleOf(err))
	if p.Status == http.StatusServiceUnavailable {
		header.Set("Retry-After", "1") // unless the error knows better
	}
	auth.WriteHeaders(header, core.Budget{}, err)
	body, err := json.Marshal(p)
	if err != nil {
		h.o.Logger.Error("problem cannot be written", "requestId", id, "error", err)
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // a peer that is gone needs no answer
}

// exceeded is the error of a principal that has used its budget up.
func exceeded(b core.Budget) *core.Error {
	e := core.Errorf(core.ErrRateLimited, "Exceed %d req/min", b.Limit)
	e.Retry = b.Retry
	return e
}
