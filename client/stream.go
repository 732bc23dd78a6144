package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/coder/websocket"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// Limits of one connection.
const (
	maxFrame    = 8 << 20 // a frame holds one value and little more
	dialTimeout = 30 * time.Second
	sendTimeout = 10 * time.Second
	floodPause  = 5 * time.Second // before connecting again after too many messages
)

// stream is one WebSocket connection of a watch. Its errors are of core's kinds: ErrUnavailable where another connection
// may do better.
type stream struct {
	conn    *websocket.Conn
	token   TokenSource
	sent    string // the token in use
	silence time.Duration
}

// dial opens a connection.
func (c *Client) dial(ctx context.Context, silence time.Duration) (*stream, error) {
	header, err := c.header(ctx)
	if err != nil {
		return nil, core.Errorf(core.ErrUnavailable, "No token to be had").Because(err)
	}
	s := &stream{token: c.o.Token, sent: header.Get("Authorization"), silence: silence}
	if s.silence == 0 {
		s.silence = DefaultSilence
	}
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, res, err := websocket.Dial(dialing, c.url("/watch", nil), &websocket.DialOptions{ //nolint:bodyclose // the dialer has read it
		HTTPClient: c.o.HTTPClient, HTTPHeader: header, Subprotocols: []string{wire.Subprotocol},
	})
	switch {
	case err == nil:
		s.conn = conn
		conn.SetReadLimit(maxFrame)
		return s, nil
	case res == nil || res.StatusCode == 101:
		return nil, unreachable(ctx, err)
	case redirects(res.StatusCode):
		return nil, redirected(res, "/watch")
	case res.StatusCode >= 400:
		body, _ := io.ReadAll(res.Body) // as much of it as the dialer kept
		return nil, problem(res.StatusCode, res.Header, body)
	}
	return nil, core.Errorf(core.ErrUnsupported, "Server does not speak WebSocket").Because(err)
}

func (s *stream) close() { _ = s.conn.CloseNow() }

func (s *stream) send(ctx context.Context, f wire.ClientFrame) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	text, err := json.Marshal(f)
	if err != nil {
		return core.Errorf(core.ErrMalformed, "Subscription cannot be written").Because(err)
	}
	if err := s.conn.Write(ctx, websocket.MessageText, text); err != nil {
		return ended(err)
	}
	return nil
}

// next waits for a frame. A connection that is silent for too long is dead.
func (s *stream) next(ctx context.Context) (wire.Frame, error) {
	ctx, cancel := context.WithTimeout(ctx, s.silence)
	defer cancel()
	_, text, err := s.conn.Read(ctx)
	if err != nil {
		return wire.Frame{}, ended(err)
	}
	var f wire.Frame
	if err := json.Unmarshal(text, &f); err != nil {
		return wire.Frame{}, core.Errorf(core.ErrUnavailable, "Server sent what is no frame").Because(err)
	}
	return f, nil
}

// renew sends a fresh token if the source has one. If that fails, the server ends the connection when the old one expires,
// and the next is opened with what the source has then.
func (s *stream) renew(ctx context.Context) {
	if s.token == nil {
		return
	}
	token, err := s.token(ctx)
	if err != nil || "Bearer "+token == s.sent {
		return
	}
	if s.send(ctx, wire.ClientFrame{Token: token}) == nil {
		s.sent = "Bearer " + token
	}
}

// ended says what the end of a connection means.
func ended(err error) error {
	var e websocket.CloseError
	if !errors.As(err, &e) {
		return core.Errorf(core.ErrUnavailable, "Connection is lost").Because(err)
	}
	reason := e.Reason
	switch e.Code {
	case wire.CloseBadMessage:
		return core.Errorf(core.ErrMalformed, "Server refused the watch: %s", reason)
	case wire.CloseToken:
		return core.Errorf(core.ErrUnauthenticated, "Server refused the token: %s", reason)
	case wire.CloseForbidden:
		return core.Errorf(core.ErrForbidden, "Server denies the watch: %s", reason)
	case wire.CloseRate:
		flood := core.Errorf(core.ErrRateLimited, "Server had too many messages")
		flood.Retry = floodPause
		return flood
	}
	return core.Errorf(core.ErrUnavailable, "Server ended the watch").Because(err) // 1001, 4408 and the rest
}
