package watch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/coder/websocket"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// Limits of what a client says.
const (
	maxRate    = 100  // messages a second
	maxPending = 1000 // messages not yet answered
)

// Codes of error events beside those of the Engine.
const (
	codeRateLimited = "rate_limited"
	codeUnavailable = "unavailable"
)

// readerState belongs to the reader, and before it starts to the request's goroutine.
type readerState struct {
	caller core.Caller
	onURL  *core.Subscription // until there is a watcher
	spoken bool               // the first message came
	window time.Time          // when the second began in which messages are counted
	count  int
}

// read handles what the peer sends until either side ends the connection.
func (c *conn) read() {
	defer c.closeWatcher()
	for c.ending.Load() == nil {
		typ, r, err := c.ws.Reader(context.Background())
		if err != nil {
			c.end(0, "")
			return
		}
		if typ != websocket.MessageText {
			c.end(wire.CloseBadMessage, "send text, not binary")
			return
		}
		text, err := io.ReadAll(io.LimitReader(r, maxMessage+1))
		switch {
		case err != nil:
			c.end(0, "")
		case len(text) > maxMessage:
			c.end(wire.CloseBadMessage, "message is longer than 1 MiB")
		case !c.mayTalk():
			c.end(wire.CloseRate, "more than 100 messages a second")
		default:
			c.handle(text)
		}
	}
}

// mayTalk counts a message in its second.
func (c *conn) mayTalk() bool {
	r := &c.reader
	if now := c.h.o.Now(); now.Sub(r.window) >= time.Second {
		r.window, r.count = now, 0
	}
	r.count++
	return r.count <= maxRate
}

// handle does what a message asks for.
func (c *conn) handle(text []byte) {
	m, err := parseMessage(text)
	if err != nil {
		c.end(wire.CloseBadMessage, reasonOf(err))
		return
	}
	first := !c.reader.spoken
	c.reader.spoken = true
	if m.token != "" && m.subscribe != nil && !first {
		c.end(wire.CloseBadMessage, "token stands beside subscribe only in the first message")
		return
	}
	w := c.watcher.Load()
	if w == nil {
		if !c.login(m.token) {
			return
		}
		w = c.watcher.Load()
	} else if !c.renew(w, m) {
		return
	}
	if c.pending.Add(1) > maxPending {
		c.end(wire.CloseSlow, "too many messages wait for their answer")
	}
	switch {
	case m.fault != nil:
		w.Fail(m.id, m.fault.code, m.fault.text)
	case m.subscribe != nil && len(m.subscribe.Patterns) > core.MaxPatterns: // so many need not be kept
		w.Fail(m.id, core.CodeTooMany, "More than 1000 patterns")
	case m.subscribe != nil:
		w.Subscribe(*m.subscribe)
	case m.unsubscribe != nil:
		w.Unsubscribe(m.id, m.unsubscribe)
	}
}

// login opens the watch with the first message's token. It counts for the watch and for the message.
func (c *conn) login(token string) bool {
	ctx := c.h.ctx
	if token == "" {
		c.end(wire.CloseToken, "the first message must bring a token")
		return false
	}
	c.token.Store(true)
	subject, _, err := c.h.o.Verify(ctx, token, c.reader.caller.Address)
	if err == nil {
		if budget := c.h.o.Take(ctx, subject.Username, 2); !budget.Allowed {
			c.end(wire.CloseRate, reasonOf(exceeded(budget)))
			return false
		}
		if err = c.h.identify(c.place); err == nil {
			err = c.open(ctx, subject)
		}
	}
	if err != nil {
		c.h.fail(c.id, err)
		e := ending{last: lastOf(err)}
		e.code, e.reason = closeOf(err)
		c.endWith(e)
		return false
	}
	return true
}

// lastOf is the event that tells why a watch cannot begin where HTTP would have answered 404.
func lastOf(err error) []byte {
	if !errors.Is(err, core.ErrNotFound) {
		return nil
	}
	return encode(&core.Event{Kind: core.EventError, Code: core.CodeEnvironment, Text: sentence(err)})
}

// renew counts a message of an open watch against the principal's limit, and takes up a fresh token. A message over the
// limit changes nothing; neither does a token that cannot be verified just now.
func (c *conn) renew(w *core.Watcher, m message) bool {
	ctx := c.h.ctx
	username := c.reader.caller.Subject.Username
	if budget := c.h.o.Take(ctx, username, 1); !budget.Allowed {
		w.Fail(m.id, codeRateLimited, sentence(exceeded(budget)))
		return false
	}
	if m.token == "" {
		return true
	}
	subject, _, err := c.h.o.Verify(ctx, m.token, c.reader.caller.Address)
	switch {
	case err != nil && errors.Is(core.KindOf(err), core.ErrUnavailable):
		w.Fail(m.id, codeUnavailable, sentence(err))
		return false
	case err != nil && errors.Is(core.KindOf(err), core.ErrRateLimited):
		c.end(wire.CloseRate, reasonOf(err))
		return false
	case err != nil:
		c.end(wire.CloseToken, "token is not valid")
		return false
	case subject.Username != username:
		c.end(wire.CloseToken, "token of another username")
		return false
	}
	c.reader.caller.Subject = subject
	c.valid.set(subject)
	w.Renew(subject, c.h.o.Alike)
	return true
}

// pinged has the pump answer a peer's ping. The library would answer at once, from the reader, and give up the connection
// if a slow peer let that wait for five seconds.
func (c *conn) pinged(payload []byte) {
	p := bytes.Clone(payload)
	c.pong.Store(&p)
	c.wake()
}

// onPing is pinged as the library wants it.
func onPing(pinged func([]byte)) func(context.Context, []byte) bool {
	return func(_ context.Context, payload []byte) bool {
		pinged(payload)
		return false
	}
}
