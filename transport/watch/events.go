package watch

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

const (
	// retryAfter is how long an EventSource waits before it comes again, in milliseconds.
	retryAfter = "2000"
	// stuckAfter ends a stream whose peer takes nothing for so long.
	stuckAfter = 2 * pingEvery
)

// stream is one watch as server-sent events. The goroutine of its request does everything but wake it.
type stream struct {
	h       *Handler
	w       http.ResponseWriter
	control *http.ResponseController
	watcher *core.Watcher
	valid   validity
	woken   chan struct{}
	ending  atomic.Pointer[ending]
	cancel  context.CancelFunc
	comment atomic.Int64 // when the next one is due, in Unix nanoseconds

	batch []byte
	// settled is whether a frame's revision is a place to come back to: not while a state is sent that begins anew.
	settled bool
}

var _ session = (*stream)(nil)

// serveEvents answers with a stream of events until it ends. Errors are those before the first byte.
func (h *Handler) serveEvents(w http.ResponseWriter, r *http.Request, p *place, caller core.Caller, s *core.Subscription) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stop := context.AfterFunc(h.ctx, cancel)
	defer stop()
	e := &stream{
		h: h, w: w, control: http.NewResponseController(w), woken: make(chan struct{}, 1), cancel: cancel,
		settled: !s.Snapshot && s.SinceVersion == nil,
	}
	var err error
	if e.watcher, err = h.engine.Watch(ctx, caller, e.wake); err != nil {
		return err
	}
	defer e.watcher.Close()
	e.valid.set(caller.Subject)
	e.comment.Store(h.o.Now().Add(commentEvery).UnixNano())
	e.batch = append(e.batch, ": watching\nretry: "+retryAfter+"\n\n"...)
	e.watcher.Subscribe(*s)
	ev, ok, err := e.watcher.Next(ctx) // whether the policy lets them watch this is known before the answer begins
	if err != nil {
		return err
	}
	if ok {
		e.append(&ev)
	}
	e.wake()
	h.add(e)
	defer h.leave(p, e)

	// A server's deadlines are for requests that end; send sets one for each write. Where there are none to set, none
	// are in the way.
	_ = e.control.SetReadDeadline(time.Time{})
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	for e.send() == nil && e.ending.Load() == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-e.woken:
		}
		if err := e.fill(ctx); err != nil {
			h.fail(caller.RequestID, err)
			code, text := codeOf(err)
			e.last(code, text)
			return nil
		}
		switch e.valid.over(h.o.Now()) {
		case "":
		case expired:
			e.batch = nil // gathered before, and too late now
			e.last("token_expired", "The token has expired")
			return nil
		default:
			e.batch = nil
			e.last("unauthorized", "The token counts no longer")
			return nil
		}
	}
	return nil
}

// wake has the request's goroutine look.
func (e *stream) wake() {
	select {
	case e.woken <- struct{}{}:
	default:
	}
}

// tick keeps the stream's times.
func (e *stream) tick(now time.Time) {
	if at, near := e.valid.warn(now); near {
		e.watcher.Expiring(at)
	}
	if e.valid.over(now) != "" || now.UnixNano() >= e.comment.Load() {
		e.wake()
	}
}

func (e *stream) end(code int, reason string) {
	e.ending.CompareAndSwap(nil, &ending{code: code, reason: reason})
	_ = e.control.SetWriteDeadline(time.Now().Add(closeWithin))
	e.wake()
}

func (e *stream) abort() { e.cancel() }

// fill gathers events until there are none or they are enough, as a reset is; then it comes again.
func (e *stream) fill(ctx context.Context) error {
	now := e.h.o.Now().UnixNano()
	if now >= e.comment.Load() {
		e.comment.Store(now + int64(commentEvery))
		e.batch = append(e.batch, ":\n\n"...)
	}
	for len(e.batch) < batchBytes {
		ev, ok, err := e.watcher.Next(ctx)
		if err != nil || !ok {
			return err
		}
		e.append(&ev)
		if ev.Kind == core.EventReset {
			break
		}
	}
	e.wake()
	return nil
}

// append writes an event. Its id is left out where coming back with it would lose something: a snapshot in part, and a
// reset before the state that follows it.
func (e *stream) append(ev *core.Event) {
	switch {
	case ev.Kind == core.EventReset:
		e.settled = false
	case ev.Kind == core.EventBookmark && ev.Synced:
		e.settled = true
	}
	if e.settled && !ev.Snapshot && ev.Position.Epoch != "" {
		e.batch = append(appendPosition(append(e.batch, "id: "...), ev.Position), '\n')
	}
	e.batch = appendEvent(e.batch, string(ev.Kind), ev.Encoded(encode))
}

// appendEvent writes an event's name and data. A value may hold line breaks, as it was sent with them: each line is a data
// line, and the client puts a line break between them, which means the same in JSON.
func appendEvent(b []byte, name string, data []byte) []byte {
	b = append(append(append(b, "event: "...), name...), '\n')
	for {
		b = append(b, "data: "...)
		i := bytes.IndexAny(data, "\r\n")
		if i < 0 {
			return append(append(b, data...), "\n\n"...)
		}
		b = append(append(b, data[:i]...), '\n')
		if data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n' {
			i++
		}
		data = data[i+1:]
	}
}

// send writes what was gathered.
func (e *stream) send() error {
	if len(e.batch) == 0 {
		return nil
	}
	_ = e.control.SetWriteDeadline(time.Now().Add(stuckAfter))
	_, err := e.w.Write(e.batch)
	if err == nil {
		err = e.control.Flush()
	}
	if cap(e.batch) > 2*batchBytes {
		e.batch = nil
	}
	e.batch = e.batch[:0]
	return err
}

// last sends an error event, the last thing of the stream.
func (e *stream) last(code, text string) {
	ev := core.Event{Kind: core.EventError, Code: code, Text: text}
	e.append(&ev)
	_ = e.send()
}

// codeOf is the code and text of an error event for what ended a Watcher.
func codeOf(err error) (code, text string) {
	if errors.Is(err, core.ErrSlow) {
		return "too_slow", "Too slow for every event"
	}
	return strings.ReplaceAll(wire.RowOf(err).Type, "-", "_"), sentence(err)
}
