package core_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// stream is a watcher with a transport that drains it when asked to.
type stream struct {
	t    testing.TB
	w    *core.Watcher
	wake chan struct{}
	ctx  context.Context
}

func (w *world) stream(t testing.TB, who string) *stream {
	t.Helper()
	s := &stream{t: t, wake: make(chan struct{}, 1), ctx: w.ctx}
	watcher, err := w.Watch(w.ctx, as(who), s.notify)
	if err != nil {
		t.Fatal(err)
	}
	s.w = watcher
	t.Cleanup(watcher.Close)
	return s
}

// notify does not wait: one who has not looked yet will.
func (s *stream) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// patience is how long what must come is waited for: not how long it may take.
const patience = 2 * time.Minute

// next waits for one event.
func (s *stream) next() core.Event {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		ev, ok, err := s.w.Next(s.ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		if ok {
			return ev
		}
		select {
		case <-s.wake:
		case <-deadline:
			s.t.Fatal("no event came")
		}
	}
}

// end waits for the error that ends the stream; no event may come before it.
func (s *stream) end() error {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		ev, ok, err := s.w.Next(s.ctx)
		if err != nil {
			return err
		}
		if ok {
			s.t.Fatalf("got %s, want the end", line(ev))
		}
		select {
		case <-s.wake:
		case <-deadline:
			s.t.Fatal("the stream did not end")
		}
	}
}

// until collects events up to and with the first of a kind.
func (s *stream) until(kind core.EventKind) []core.Event {
	s.t.Helper()
	var events []core.Event
	for {
		ev := s.next()
		events = append(events, ev)
		if ev.Kind == kind {
			return events
		}
	}
}

// expect compares the next events, written as "update k 1" or "bookmark".
func (s *stream) expect(lines ...string) []core.Event {
	s.t.Helper()
	var events []core.Event
	for i, want := range lines {
		ev := s.next()
		events = append(events, ev)
		if got := line(ev); got != want {
			s.t.Fatalf("event %d: got %q, want %q", i, got, want)
		}
	}
	return events
}

// expectNothing looks once.
func (s *stream) expectNothing() {
	s.t.Helper()
	if ev, ok, err := s.w.Next(s.ctx); ok || err != nil {
		s.t.Fatalf("got %s, %v, want nothing", line(ev), err)
	}
}

func line(ev core.Event) string {
	parts := []string{string(ev.Kind)}
	if ev.Key != "" {
		parts = append(parts, ev.Key)
	}
	if ev.Version != 0 {
		parts = append(parts, fmt.Sprint(ev.Version))
	}
	for _, f := range []struct {
		name string
		set  bool
	}{{"snapshot", ev.Snapshot}, {"more", ev.More}, {"conflated", ev.Conflated}, {"synced", ev.Synced}} {
		if f.set {
			parts = append(parts, f.name)
		}
	}
	if ev.Code != "" {
		parts = append(parts, ev.Code)
	}
	return strings.Join(parts, " ")
}

func sub(patterns ...string) core.Subscription { return core.Subscription{Patterns: patterns} }
