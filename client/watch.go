package client

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// Event is what a watch yields. Event.Event is one of the words below, and says which other members are set.
type Event = wire.Frame

// The events of a watch.
const (
	Update   = string(core.EventUpdate)   // Key has Value at Version
	Delete   = string(core.EventDelete)   // Key is gone; Version is 0 if a restarted snapshot no longer held it
	Expired  = string(core.EventExpired)  // Key is gone because its TTL ended
	Granted  = string(core.EventGranted)  // Key may be read from now on, and has Value at Version
	Revoked  = string(core.EventRevoked)  // Key may no longer be read
	Reset    = string(core.EventReset)    // forget what is held of Patterns (none: of all); a snapshot follows
	Bookmark = string(core.EventBookmark) // nothing but progress; Synced: a snapshot or a replay is complete
)

// DefaultSilence is longer than a server is ever silent: it sends a bookmark at least every 60 s.
const DefaultSilence = 75 * time.Second

// WatchOptions say what to follow, and from where. Snapshot and SinceRevision exclude each other; with neither, the watch
// begins at what is newest when it starts.
type WatchOptions struct {
	Patterns      []string // keys, "*", or namespaces with ".*" or "/*"
	Snapshot      bool     // the present state first
	SinceRevision string   // what followed a revision first
	Every         bool     // every change, however far behind; else the last of each key may stand for all

	// Silence is how long a connection may bring nothing before it counts as dead; 0: DefaultSilence.
	Silence time.Duration
	// Lost, if set, is told why a connection ended, and after which pause the next is tried.
	Lost func(err error, pause time.Duration)
}

// authTries is how often in a row a server may refuse the token before a watch gives up.
const authTries = 3

// Watch yields changes in the order of their revisions, each once, until ctx ends or the server refuses for good; the last
// thing it yields is that error. It connects again when a connection is lost, and goes on where it was.
//
// A connection that is lost within a snapshot starts the snapshot over: what was already yielded is not yielded again, and
// keys that are gone meanwhile are yielded as a Delete. The frames of one commit but its last have More set.
//
// The loop's body may be slow; a server that finds it far behind sends the last change of each key instead of all of them,
// marked Conflated, unless Every is set. A watch has no goroutine of its own: it lives in the loop.
func (c *Client) Watch(ctx context.Context, o WatchOptions) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		w := &watch{c: c, o: o, yield: yield, p: progress{patterns: len(o.Patterns), resume: o.SinceRevision, syncing: o.Snapshot}}
		if err := w.run(ctx); !errors.Is(err, errStopped) {
			yield(Event{}, err)
		}
	}
}

// errStopped ends a watch whose loop was left.
var errStopped = errors.New("stopped")

// watch is one run of Watch.
type watch struct {
	c       *Client
	o       WatchOptions
	yield   func(Event, error) bool
	p       progress
	heard   bool // the present connection has brought something
	served  bool // some connection has
	refused int  // how often in a row the token was refused
}

// run connects again and again. It returns why it ended, never nil.
func (w *watch) run(ctx context.Context) error {
	if len(w.o.Patterns) == 0 || w.o.Snapshot && w.o.SinceRevision != "" {
		return core.Errorf(core.ErrInvalid, "A watch needs patterns, and at most one of Snapshot and SinceRevision")
	}
	pauses := w.c.pauses()
	for {
		w.heard = false
		err := w.follow(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if w.heard {
			w.refused, w.served = 0, true
			pauses.Reset()
		}
		if !w.again(err) {
			return err
		}
		pause := max(pauses.NextBackOff(), retryAfter(err))
		if w.o.Lost != nil {
			w.o.Lost(err, pause)
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// again reports whether a connection that ended so is worth another.
func (w *watch) again(err error) bool {
	if errors.Is(err, core.ErrUnauthenticated) {
		w.refused++ // the source may have a newer token now
		return w.refused < authTries
	}
	if errors.Is(err, core.ErrUnsupported) { // a stranger, a redirect, a certificate that is not trusted
		return w.served // the address is right, and so it may be again
	}
	return errors.Is(err, core.ErrUnavailable) || errors.Is(err, core.ErrRateLimited) || errors.Is(err, core.ErrInternal)
}

// follow runs one connection, from its subscription to its end.
func (w *watch) follow(ctx context.Context) error {
	if w.p.resume == "" && !w.p.syncing {
		now, err := w.c.position(ctx)
		if err != nil {
			return err
		}
		w.p.resume = now
	}
	s, err := w.c.dial(ctx, w.o.Silence)
	if err != nil {
		return err
	}
	defer s.close()
	if err := w.emit(w.p.start()); err != nil {
		return err
	}
	sub := wire.ClientFrame{Subscribe: w.o.Patterns, Every: w.o.Every, Snapshot: w.p.syncing}
	if !w.p.syncing {
		sub.SinceRevision = w.p.resume
	}
	if err := s.send(ctx, sub); err != nil {
		return err
	}
	for {
		f, err := s.next(ctx)
		if err != nil {
			return err
		}
		switch f.Event {
		case string(core.EventSubscribed), string(core.EventUnsubscribed):
			continue
		case string(core.EventError):
			return refusal(f)
		case string(core.EventExpiring):
			s.renew(ctx)
		}
		w.heard = true
		if err := w.emit(w.p.take(f)); err != nil {
			return err
		}
	}
}

func (w *watch) emit(events []Event) error {
	for _, e := range events {
		if !w.yield(e, nil) {
			return errStopped
		}
	}
	return nil
}

// refusal is the error of an error event: the subscription will not do better another time.
func refusal(f wire.Frame) error {
	kind := core.ErrInvalid
	if f.Code == core.CodeEnvironment {
		kind = core.ErrNotFound
	}
	return core.Errorf(kind, "%s", f.Message)
}

// position returns the server's present revision.
func (c *Client) position(ctx context.Context) (string, error) {
	a, err := c.once(ctx, call{method: http.MethodGet, path: "/keys", query: url.Values{"limit": {"1"}}, members: listMembers})
	if err != nil {
		return "", err
	}
	var l Listing
	return l.Revision, a.decode(&l)
}
