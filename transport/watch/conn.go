package watch

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// batchBytes is when a batch of frames is sent although there are more.
const batchBytes = 64 << 10

// conn is one WebSocket. Its reader (read.go) is a goroutine of its own. Its pump writes, and is the only one to close:
// whoever wants the end says so with end.
type conn struct {
	h       *Handler
	id      string // of the request, for the log
	place   *place
	ws      *websocket.Conn
	socket  *socket
	watcher atomic.Pointer[core.Watcher] // nil until there is a token
	valid   validity
	token   atomic.Bool // one came, good or bad

	work    atomic.Int32 // calls of wake since the pump last found nothing to do; while not 0 there is a pump
	ending  atomic.Pointer[ending]
	ping    atomic.Bool // one is due
	pong    atomic.Pointer[[]byte]
	pending atomic.Int32 // messages since everything was answered

	reader readerState
	pacer  pacerState
}

// ending is how a conn closes. Code 0: without a word.
type ending struct {
	code   int
	reason string
	last   []byte        // a frame that goes before the close frame
	cut    chan struct{} // closed when the writes before it have got their deadline, which must not meet those that follow
}

// pacerState belongs to the pacer.
type pacerState struct {
	firstBy time.Time // a token must have come; zero: it has
	pingAt  time.Time
	asked   bool // a ping waits for its answer
	sent    int64
}

var _ session = (*conn)(nil)

// serveSocket upgrades a request. Errors are those before the upgrade.
func (h *Handler) serveSocket(w http.ResponseWriter, r *http.Request, p *place, caller core.Caller, s *core.Subscription) error {
	now := h.o.Now()
	c := &conn{h: h, id: caller.RequestID, place: p, reader: readerState{caller: caller, onURL: s}}
	c.pacer.pingAt = now.Add(pingEvery)
	c.token.Store(caller.Subject != nil)
	c.work.Store(1) // as if there were a pump: it starts when there is a socket
	denied := false
	if caller.Subject == nil {
		c.pacer.firstBy = now.Add(firstWithin)
	} else if err := c.open(r.Context(), caller.Subject); err != nil {
		if denied = errors.Is(err, core.ErrForbidden); !denied {
			return err
		}
	}
	var err error
	if c.ws, c.socket, err = upgrade(w, r, c.pinged); err != nil {
		c.closeWatcher()
		h.o.Logger.Debug("upgrade failed", "requestId", caller.RequestID, "error", err)
		h.leave(p, nil)
		return nil // the library has answered
	}
	h.add(c)
	if denied {
		c.end(wire.CloseForbidden, "the policy denies watching")
	}
	h.wg.Go(c.read)
	go c.pump()
	return nil
}

// open begins to watch for a subject.
func (c *conn) open(ctx context.Context, subject *core.Subject) error {
	c.reader.caller.Subject = subject
	w, err := c.h.engine.Watch(ctx, c.reader.caller, c.wake)
	if err != nil {
		return err
	}
	c.valid.set(subject)
	if s := c.reader.onURL; s != nil {
		w.Subscribe(*s)
	}
	c.reader.onURL = nil
	c.watcher.Store(w)
	c.wake()
	return nil
}

func (c *conn) closeWatcher() {
	if w := c.watcher.Load(); w != nil {
		w.Close()
	}
}

// wake sees to it that a pump looks, now or once more.
func (c *conn) wake() {
	if c.work.Add(1) == 1 {
		go c.pump()
	}
}

// pump writes until there is nothing to write. At the end of the connection it leaves work above 0, so that none follows.
func (c *conn) pump() {
	deepen(0)
	for {
		n := c.work.Load()
		if e := c.ending.Load(); e != nil {
			c.close(e)
			return
		}
		if !c.deliver() && c.work.CompareAndSwap(n, 0) {
			return
		}
	}
}

// deepen makes a new goroutine's stack grow while there is little on it to be copied: judging an event needs more than a
// stack has at first, and growing it in the depth of that took a tenth of the time of telling thousands.
//
//go:noinline
func deepen(i int) byte {
	var room [4 << 10]byte
	return room[i]
}

// batch is what a pump works with, to be used again by others.
type batch struct {
	frames []byte
	event  core.Event
}

// deliver sends one batch and reports whether there is more.
func (c *conn) deliver() (more bool) {
	b := c.h.batches.Get().(*batch)
	c.socket.gather(&b.frames)
	if c.ping.Swap(false) {
		c.socket.frame(opPing, nil)
	}
	if payload := c.pong.Swap(nil); payload != nil {
		c.socket.frame(opPong, *payload)
	}
	more, failed := c.fill(b)
	over := c.valid.over(c.h.o.Now())
	if err := c.socket.flush(over != ""); err != nil {
		c.end(0, "")
	}
	if over != "" {
		c.end(wire.CloseToken, over)
	}
	if failed != nil {
		c.h.fail(c.id, failed)
		c.end(closeOf(failed))
	}
	b.event = core.Event{}
	if b.frames = b.frames[:0]; cap(b.frames) <= 2*batchBytes {
		c.h.batches.Put(b)
	}
	return more
}

// fill gathers frames until there are none or they are enough. A reset is enough: what comes after it may have to wait its
// turn behind thousands who begin anew, too.
func (c *conn) fill(b *batch) (more bool, err error) {
	w := c.watcher.Load()
	for ok := w != nil; ok; {
		asked := c.pending.Load()
		if b.event, ok, err = w.Next(c.h.ctx); err != nil {
			return false, err
		}
		if !ok {
			c.pending.Add(-asked)
		} else if c.socket.frame(opText, b.event.Encoded(encode)) >= batchBytes || b.event.Kind == core.EventReset {
			return true, nil
		}
	}
	return false, nil
}

// closeOf is the close code and reason for what ended a Watcher.
func closeOf(err error) (code int, reason string) {
	switch kind := core.KindOf(err); {
	case errors.Is(err, core.ErrSlow):
		return wire.CloseSlow, "too slow for every event"
	case errors.Is(kind, core.ErrUnauthenticated):
		return wire.CloseToken, "token is not valid"
	case errors.Is(kind, core.ErrRateLimited):
		return wire.CloseRate, reasonOf(err)
	case errors.Is(kind, core.ErrForbidden), errors.Is(kind, core.ErrNotFound):
		return wire.CloseForbidden, reasonOf(err)
	case errors.Is(kind, core.ErrUnavailable):
		return int(websocket.StatusTryAgainLater), reasonOf(err)
	}
	return int(websocket.StatusInternalError), "internal"
}

// reasonOf is the public text of an error, as short as a close frame needs it.
func reasonOf(err error) string {
	const most = 123
	s := sentence(err)
	for i := range s {
		if i > most-4 {
			return s[:i]
		}
	}
	return s
}

// end asks for the end of the connection; the first to ask is heard. A write that is blocked has a moment to go through,
// so that a peer which begins to read again learns why; at the end of a token it has none.
func (c *conn) end(code int, reason string) { c.endWith(ending{code: code, reason: reason}) }

func (c *conn) endWith(e ending) {
	e.cut = make(chan struct{})
	if !c.ending.CompareAndSwap(nil, &e) {
		return
	}
	if !c.token.Load() && e.code != wire.CloseGoingAway { // before the peer hears of it, who may come again at once
		c.h.o.Failed(c.h.ctx, c.reader.caller.Address)
	}
	switch {
	case e.code == 0:
		_ = c.socket.Conn.Close()
	case e.code == wire.CloseToken:
		_ = c.socket.SetWriteDeadline(time.Now())
	default:
		_ = c.socket.SetWriteDeadline(time.Now().Add(closeWithin))
	}
	close(e.cut)
	c.wake()
}

func (c *conn) abort() {
	c.end(0, "")
	_ = c.socket.Conn.Close()
}

// close ends the connection. The reader notices by itself.
func (c *conn) close(e *ending) {
	<-e.cut
	if e.code == 0 || c.socket.broken {
		_ = c.ws.CloseNow()
	} else {
		// The library waits for the peer's close frame, but not for ever only if there is a deadline here.
		_ = c.socket.SetDeadline(time.Now().Add(2 * closeWithin))
		if e.last != nil {
			_ = c.ws.Write(context.Background(), websocket.MessageText, e.last) // else the close frame fails too
		}
		_ = c.ws.Close(websocket.StatusCode(e.code), e.reason)
	}
	c.h.leave(c.place, c)
}

// tick keeps the connection's times.
func (c *conn) tick(now time.Time) {
	p := &c.pacer
	w := c.watcher.Load()
	if w == nil {
		if !p.firstBy.IsZero() && !now.Before(p.firstBy) {
			c.end(wire.CloseToken, "no token within 10 s")
		}
		return
	}
	if over := c.valid.over(now); over != "" {
		c.end(wire.CloseToken, over)
		return
	}
	if at, near := c.valid.warn(now); near {
		w.Expiring(at)
	}
	if now.Before(p.pingAt) {
		return
	}
	p.pingAt = now.Add(pingEvery)
	sent := c.socket.sent.Load()
	moved := sent != p.sent && c.work.Load() > 0 // it is slow, and reads
	p.sent = sent
	if heard := c.socket.heard.Swap(false); p.asked && !heard && !moved {
		c.end(wire.CloseSlow, "too slow, or dead")
		return
	}
	p.asked = true
	c.ping.Store(true)
	c.wake()
}
