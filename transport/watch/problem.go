package watch

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/dynconfig/dynconfig/core"
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
	switch p.Status {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		retry := time.Second
		var e *core.Error
		if errors.As(err, &e) && e.Retry > 0 {
			retry = e.Retry
		}
		header.Set("Retry-After", seconds(retry))
	}
	body, err := json.Marshal(p)
	if err != nil {
		h.o.Logger.Error("problem cannot be written", "requestId", id, "error", err)
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // a peer that is gone needs no answer
}

// tellBudget writes the RateLimit headers.
func tellBudget(header http.Header, b core.Budget) {
	if b.Limit == 0 {
		return
	}
	header.Set("RateLimit-Limit", strconv.Itoa(b.Limit))
	header.Set("RateLimit-Remaining", strconv.Itoa(b.Remaining))
	header.Set("RateLimit-Reset", seconds(b.Reset))
}

// exceeded is the error of a principal that has used its budget up.
func exceeded(b core.Budget) *core.Error {
	e := core.Errorf(core.ErrRateLimited, "Exceed %d req/min", b.Limit)
	e.Retry = b.Retry
	return e
}

// seconds rounds up.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
