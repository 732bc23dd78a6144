package policy

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/core"
)

// served is an engine that runs under a policy.
type served struct {
	*core.Engine
	t      testing.TB
	policy *Authorizer
}

func serve(t testing.TB, set Set) *served {
	t.Helper()
	s := &served{t: t, policy: open(t, set)}
	b := memory.Open(memory.Options{})
	var err error
	if s.Engine, err = core.Open(t.Context(), b, core.Options{Authorizer: s.policy}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
		_ = b.Close()
	})
	return s
}

func (s *served) load(set Set) {
	s.t.Helper()
	if err := s.policy.Load(s.t.Context(), set); err != nil {
		s.t.Fatal(err)
	}
}

func caller(name string, claims map[string]any) core.Caller {
	return core.Caller{Subject: &core.Subject{Username: name, Claims: claims}, Environment: "default"}
}

func (s *served) write(writes ...core.Write) core.Position {
	s.t.Helper()
	r, err := s.Write(s.t.Context(), caller("admin-user", nil), core.Request{Writes: writes})
	if err != nil {
		s.t.Fatal(err)
	}
	return r.Position
}

// put writes a key; with lists, also who may what.
func put(name, value, acl string) core.Write {
	w := core.Write{Op: core.WritePut, Kind: core.KindKey, Name: name, Value: []byte(value)}
	return ruled(w, acl)
}

func namespace(name, acl string) core.Write {
	return ruled(core.Write{Op: core.WritePut, Kind: core.KindNamespace, Name: name}, acl)
}

func rerule(name, acl string) core.Write {
	return ruled(core.Write{Op: core.WritePatch, Kind: core.KindKey, Name: name}, acl)
}

func ruled(w core.Write, acl string) core.Write {
	if r := lists(acl); r != nil {
		w.SetACL, w.ACL = true, &r.ACL
	}
	return w
}

// listener is a stream whose events are read one by one.
type listener struct {
	t     testing.TB
	w     *core.Watcher
	woken chan struct{}
	at    core.Position // of the last event
}

func (s *served) listen(who core.Caller, sub core.Subscription) *listener {
	s.t.Helper()
	l := &listener{t: s.t, woken: make(chan struct{}, 1)}
	var err error
	if l.w, err = s.Watch(s.t.Context(), who, func() { l.woken <- struct{}{} }); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(l.w.Close)
	l.w.Subscribe(sub)
	return l
}

func snapshotOf(patterns ...string) core.Subscription {
	return core.Subscription{Patterns: patterns, Snapshot: true}
}

func (l *listener) since(patterns ...string) core.Subscription {
	return core.Subscription{Patterns: patterns, SinceRevision: l.at.String()}
}

// next waits for an event or the end.
func (l *listener) next() (core.Event, error) {
	l.t.Helper()
	for {
		ev, ok, err := l.w.Next(l.t.Context())
		if ok && ev.Position.Epoch != "" {
			l.at = ev.Position
		}
		if ok || err != nil {
			return ev, err
		}
		select {
		case <-l.woken:
		case <-time.After(2 * time.Minute):
			l.t.Fatal("no event came")
		}
	}
}

// hears compares the next events, written as "update k 1 snapshot", "reset app.*" or "bookmark".
func (l *listener) hears(want ...string) {
	l.t.Helper()
	for i, w := range want {
		ev, err := l.next()
		if err != nil {
			l.t.Fatalf("event %d: got %v, want %q", i, err, w)
		}
		got := string(ev.Kind)
		switch ev.Kind {
		case core.EventReset:
			got += " " + strings.Join(ev.Patterns, " ")
		case core.EventRevoked, core.EventDelete:
			got += " " + ev.Key
		case core.EventUpdate, core.EventGranted:
			got = fmt.Sprintf("%s %s %s", ev.Kind, ev.Key, ev.Value)
		}
		if got != w {
			l.t.Fatalf("event %d: got %q, want %q", i, got, w)
		}
	}
}

// ends waits for the error that ends the stream, with no event before it.
func (l *listener) ends() error {
	l.t.Helper()
	ev, err := l.next()
	if err == nil {
		l.t.Fatalf("got %+v, want the end", ev)
	}
	return err
}
