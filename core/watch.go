package core

import (
	"context"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

// Watcher is one stream of events to one subject: a position in the log, the patterns it follows, and a short queue of
// commits that concern it. It has no goroutine: the transport drains Next when it is notified.
//
// What is asked of it (jobs) and what the log brings (queue) is put in from any side under mu. That it must begin anew, and
// a renewed token, are put in without, because they are looked for before each step of a catch-up. Everything else belongs
// to the one goroutine that is in Next.
type Watcher struct {
	engine *Engine
	env    EnvID
	caller Caller
	notify func()
	epoch  string // of what is put out; the hub's may be another already, and then anew is set
	told   int64  // the hub's tick of the last event
	out    []Event
	spoke  bool                // Next has returned an event since it last had nothing
	work   []step              // what must be done before the queue goes on
	ruled  patternSet          // patterns that begin anew before the queue goes on, because a namespace was ruled anew
	hidden map[string]struct{} // keys that began to be readable and were not shown, because that right was lost since

	renewed atomic.Pointer[renewal] // what Renew brought, until Next takes it up
	anew    atomic.Bool             // earlier decisions no longer hold: forget everything, and take a snapshot

	mu        sync.Mutex
	follows   follows
	jobs      []func(context.Context) error
	queue     []*published
	queued    int      // bytes
	last      Revision // newest commit put in the queue
	position  Revision // everything up to here is delivered, queued, or not of interest
	behind    bool     // the queue was dropped: what followed position must be found in the index
	every     bool
	bookmark  bool // one is due
	scheduled bool // notify was called, and Next has not yet said that there is nothing
	closed    bool
}

// follow is a pattern with the revision after which commits concern it.
type follow struct {
	Pattern
	since Revision
}

// step is a piece of a catch-up: do puts events into w.out, and is done when it returns true.
type step struct {
	do     func(ctx context.Context) (done bool, err error)
	answer bool // it answers a message: it is due even if the catch-up is not
}

// later puts a piece of a catch-up behind those that there are.
func (w *Watcher) later(do func(ctx context.Context) (done bool, err error)) {
	w.work = append(w.work, step{do: do})
}

// renewal is another token of the same principal.
type renewal struct {
	subject *Subject
	alike   func(was, is *Subject) bool
}

// Bounds of a watcher's queue; beyond them it is given the last change of each key instead.
const (
	queueCommits = 8192
	queueBytes   = 16 << 20
)

// Watch opens a stream. notify is called, from any goroutine, when Next may have something, and not again until Next has
// said that it has nothing more. ErrNotFound: the environment does not exist.
func (e *Engine) Watch(ctx context.Context, c Caller, notify func()) (*Watcher, error) {
	env, err := e.environment(ctx, c.Environment)
	if err != nil {
		return nil, err
	}
	at := e.hub.position()
	w := &Watcher{engine: e, env: env, caller: c, notify: notify, told: e.hub.ticks.Load(), epoch: at.Epoch, position: at.Revision}
	e.hub.add(w)
	return w, nil
}

// Close ends the stream.
func (w *Watcher) Close() { w.engine.hub.remove(w) }

// wake schedules the transport; w.mu is held. The function it returns is called without it.
func (w *Watcher) wake() func() {
	if w.scheduled || w.closed {
		return func() {}
	}
	w.scheduled = true
	return w.notify
}

// push puts a commit into the queue, once.
func (w *Watcher) push(p *published) {
	w.mu.Lock()
	if w.closed || w.last >= p.revision || w.behind {
		w.mu.Unlock()
		return
	}
	w.last = p.revision
	w.queue = append(w.queue, p)
	w.queued += p.bytes
	if len(w.queue) > queueCommits || w.queued > queueBytes {
		w.dropQueue()
	}
	wake := w.wake()
	w.mu.Unlock()
	wake()
}

func (w *Watcher) dropQueue() { w.queue, w.queued, w.behind = nil, 0, true }

func (w *Watcher) fallBehind() {
	w.mu.Lock()
	w.dropQueue()
	wake := w.wake()
	w.mu.Unlock()
	wake()
}

// remind notes that a bookmark is due, if one is.
func (w *Watcher) remind(tick int64) {
	w.mu.Lock()
	wake := func() {}
	if len(w.follows) > 0 && !w.scheduled && tick-w.told >= bookmarkTicks {
		w.bookmark = true
		wake = w.wake()
	}
	w.mu.Unlock()
	wake()
}

// forget notes that earlier decisions no longer hold. One that follows nothing yet is told, too: it may be about to.
func (w *Watcher) forget() {
	w.mu.Lock()
	w.anew.Store(true)
	wake := w.wake()
	w.mu.Unlock()
	wake()
}

// do puts a job for Next.
func (w *Watcher) do(job func(context.Context) error) {
	w.mu.Lock()
	if !w.closed {
		w.jobs = append(w.jobs, job)
	}
	wake := w.wake()
	w.mu.Unlock()
	wake()
}

// say puts one event for Next, after what was asked before it.
func (w *Watcher) say(make func() Event) {
	w.do(func(context.Context) error {
		w.out = append(w.out, make())
		return nil
	})
}

// Fail queues an error event.
func (w *Watcher) Fail(id, code, text string) {
	w.say(func() Event { return Event{Kind: EventError, ID: id, Code: code, Text: text} })
}

// Expiring queues a token_expiring event.
func (w *Watcher) Expiring(at time.Time) {
	w.say(func() Event { return Event{Kind: EventExpiring, Expires: at, Position: w.at(w.seen())} })
}

// Renew goes on for the same principal with another token, from the next event on. If alike says that its rights may be
// others, what was sent under the old one is forgotten.
func (w *Watcher) Renew(s *Subject, alike func(was, is *Subject) bool) {
	w.renewed.Store(&renewal{s, alike})
	w.mu.Lock()
	wake := w.wake()
	w.mu.Unlock()
	wake()
}

// Alike reports whether two subjects are the same but for the claims that every token has anew. It is for a Renew under a
// policy of which is not known which claims it reads.
func Alike(was, is *Subject) bool {
	return was.Username == is.Username && reflect.DeepEqual(lasting(was.Claims), lasting(is.Claims))
}

// lasting returns the claims that do not change with every token.
func lasting(claims map[string]any) map[string]any {
	out := make(map[string]any, len(claims))
	for k, v := range claims {
		switch k {
		case "exp", "iat", "nbf", "jti":
		default:
			out[k] = v
		}
	}
	return out
}

// Next returns the next event. It does not wait for one: ok is false when there is nothing now, and notify will be called.
// It may read the store. An error ends the stream: ErrSlow, ErrForbidden, ErrUnavailable.
func (w *Watcher) Next(ctx context.Context) (ev Event, ok bool, err error) {
	for {
		if len(w.out) > 0 {
			ev, w.out[0] = w.out[0], Event{}
			w.out = w.out[1:]
			w.engine.stats.delivered.Add(1)
			w.spoke = true
			return ev, true, nil
		}
		w.out = nil
		if r := w.renewed.Swap(nil); r != nil { // also in the midst of a catch-up: none goes on under a token of before
			if !r.alike(w.caller.Subject, r.subject) {
				w.anew.Store(true)
			}
			w.caller.Subject = r.subject
		}
		if w.anew.Swap(false) {
			if err := w.restart(ctx, true); err != nil {
				return Event{}, false, err
			}
			continue
		}
		if len(w.work) > 0 {
			_, err := w.engine.stale() // a catch-up by a view that counts no longer would show what was withdrawn
			done := false
			if err == nil || w.work[0].answer {
				done, err = w.work[0].do(ctx)
			}
			if err != nil {
				return Event{}, false, err
			}
			if done {
				w.work = w.work[1:]
			}
			continue
		}
		if more, err := w.advance(ctx); !more || err != nil {
			return Event{}, false, err
		}
	}
}

// advance takes up the next thing to do; false means that there is nothing.
func (w *Watcher) advance(ctx context.Context) (bool, error) {
	w.mu.Lock()
	switch {
	case w.closed:
		w.mu.Unlock()
		return false, nil
	case len(w.jobs) > 0:
		job := w.jobs[0]
		w.jobs = w.jobs[1:]
		w.mu.Unlock()
		return true, job(ctx)
	case len(w.ruled) > 0:
		w.mu.Unlock()
		return true, w.restart(ctx, false)
	case w.behind && w.every:
		w.mu.Unlock()
		return false, ErrSlow
	case w.behind:
		w.mu.Unlock()
		w.conflate()
		return true, nil
	case len(w.queue) > 0:
		p := w.queue[0]
		w.queue[0], w.queue = nil, w.queue[1:]
		w.queued -= p.bytes
		w.position = p.revision
		w.mu.Unlock()
		return true, w.deliver(ctx, p)
	case w.bookmark:
		w.mu.Unlock()
		w.mark()
		return true, nil
	}
	if w.anew.Load() || w.renewed.Load() != nil { // since Next looked
		w.mu.Unlock()
		return true, nil
	}
	w.queue = nil
	if w.spoke {
		w.told, w.spoke = w.engine.hub.ticks.Load(), false
	}
	w.scheduled = false
	w.mu.Unlock()
	return false, nil
}

// at is the position after a whole commit.
func (w *Watcher) at(rev Revision) Position { return Position{Epoch: w.epoch, Revision: rev} }

// seen returns the revision up to which everything has been delivered.
func (w *Watcher) seen() Revision {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.position
}

// mark emits the bookmark that is due. With nothing queued, all that was dispatched is delivered.
func (w *Watcher) mark() {
	h := w.engine.hub
	h.mu.Lock()
	w.mu.Lock()
	w.bookmark = false
	idle := len(w.queue) == 0 && !w.behind
	if idle {
		w.position = h.dispatched
	}
	rev := w.position
	w.mu.Unlock()
	h.mu.Unlock()
	if idle {
		w.out = append(w.out, Event{Kind: EventBookmark, Position: w.at(rev)})
	}
}
