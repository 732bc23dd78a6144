package nats

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

// anybody may do anything.
type anybody struct{}

func (anybody) Authorize(context.Context, *core.Subject, core.Access) (core.Decision, error) {
	return core.Decision{Allow: true}, nil
}

func (anybody) Generation() uint64 { return 0 }

var caller = core.Caller{Subject: &core.Subject{Username: "tester"}, Environment: "default"}

// engineOn runs an Engine until the test ends.
func engineOn(t *testing.T, b *core.Backend) *core.Engine {
	t.Helper()
	e, err := core.Open(t.Context(), b, core.Options{Authorizer: anybody{}, Poll: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = e.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return e
}

// write writes, once more only if the Engine gave up because it took long: that is no sooner than after 2 s.
func write(t *testing.T, e *core.Engine, name, value string) (r core.Result) {
	t.Helper()
	request := core.Request{
		Writes:      []core.Write{{Op: core.WritePut, Kind: core.KindKey, Name: name, Value: []byte(value)}},
		Idempotency: rand.Text(),
	}
	eventually(t, func() (err error) {
		began := time.Now()
		r, err = e.Write(t.Context(), caller, request)
		if err != nil && (!errors.Is(err, core.ErrUnavailable) || time.Since(began) < 2*time.Second) {
			t.Fatal(err)
		}
		return err
	})
	return r
}

// watchAll returns the kinds of the events that a watcher of everything is told, as they come.
func watchAll(t *testing.T, e *core.Engine) <-chan core.Event {
	t.Helper()
	wake := make(chan struct{}, 1)
	w, err := e.Watch(t.Context(), caller, func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Subscribe(core.Subscription{Patterns: []string{"*"}})
	events := make(chan core.Event, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			ev, ok, err := w.Next(ctx)
			switch {
			case err != nil:
				if ctx.Err() == nil {
					t.Errorf("the watcher ended: %v", err)
				}
				return
			case ok:
				events <- ev
				continue
			}
			select {
			case <-wake:
			case <-ctx.Done():
				return
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		w.Close()
	})
	return events
}

func awaitEvent(t *testing.T, events <-chan core.Event, kind core.EventKind) core.Event {
	t.Helper()
	for {
		select {
		case ev := <-events:
			if ev.Kind == kind {
				return ev
			}
		case <-time.After(2 * patient):
			t.Fatalf("no event %v comes", kind)
		}
	}
}

func TestAStreamThatIsDeletedOrEmptiedBeginsANewEpochUnderRunningEngines(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(*testing.T, jetstream.JetStream) error{
		"deleted": func(t *testing.T, js jetstream.JetStream) error { return js.DeleteStream(t.Context(), defaultPrefix) },
		"emptied": func(t *testing.T, js jetstream.JetStream) error {
			stream, err := js.Stream(t.Context(), defaultPrefix)
			return errors.Join(err, stream.Purge(t.Context()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := services.StartNats(t)
			one, _ := openAt(t, server.URL, Options{})
			two, _ := openAt(t, server.URL, Options{})
			engines := []*core.Engine{engineOn(t, one), engineOn(t, two)}
			for i := range 10 {
				write(t, engines[i%2], "a", fmt.Sprint(i))
			}
			events := watchAll(t, engines[1])
			awaitEvent(t, events, core.EventSubscribed)
			before := engines[0].Epoch()
			if err := harm(t, admin(t, server.URL)); err != nil {
				t.Fatal(err)
			}
			awaitEvent(t, events, core.EventReset)
			eventually(t, func() error {
				if a, b := engines[0].Epoch(), engines[1].Epoch(); a == before || a != b {
					return fmt.Errorf("the epoch was %s, the engines are at %s and %s", before, a, b)
				}
				return nil
			})
			if r := write(t, engines[0], "a", `"new"`); !r.Written[0].Created || r.Written[0].Version != 1 {
				t.Errorf("in the new epoch the first write is %+v", r)
			}
			if ev := awaitEvent(t, events, core.EventUpdate); ev.Key != "a" || string(ev.Value) != `"new"` {
				t.Errorf("the first event of the new epoch is %+v", ev)
			}
		})
	}
}

func TestTheCallAfterAStreamWasDeletedWorks(t *testing.T) {
	t.Parallel()
	server := services.StartNats(t)
	js := admin(t, server.URL)
	b, _ := openAt(t, server.URL, Options{})
	e := engineOn(t, b)
	for name, call := range map[string]func(){
		"a write": func() { write(t, e, "a", `"new"`) },
		"a strong read": func() {
			eventually(t, func() error {
				it, err := e.Get(t.Context(), caller, core.Read{Kind: core.KindKey, Name: "a", Strong: true})
				if !errors.Is(err, core.ErrNotFound) {
					return fmt.Errorf("a key of the old epoch is read: %+v, %w", it, err)
				}
				return nil
			})
		},
	} {
		write(t, e, "a", `"old"`)
		write(t, e, "a", `"old"`)
		if err := js.DeleteStream(t.Context(), defaultPrefix); err != nil {
			t.Fatal(err)
		}
		call()
		if r := write(t, e, "b", "1"); r.Position.Revision > 2 {
			t.Errorf("after %s the new log is at %v", name, r.Position)
		}
	}
}

func TestALogOfANewEpochIsNotTakenForTheOld(t *testing.T) {
	t.Parallel()
	server := services.StartNats(t)
	_, s := openAt(t, server.URL, Options{})
	put(t, s, "", op("a", nil))
	if err := admin(t, server.URL).DeleteStream(t.Context(), defaultPrefix); err != nil {
		t.Fatal(err)
	}
	_, other := openAt(t, server.URL, Options{})
	put(t, other, "", op("b", nil))
	put(t, other, "", op("c", nil))
	if log, err := s.Log(t.Context(), 1, 0); !errors.Is(err, core.ErrCompacted) {
		t.Errorf("the log goes on with %+v, %v", log, err)
	}
	if _, err := s.Commit(t.Context(), core.Txn{Ops: []core.Op{op("a", nil)}}); !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("what was worked out in the old epoch is committed in the new one: %v", err)
	}
	if st, err := s.Status(t.Context()); err != nil || st.Head != 2 {
		t.Errorf("Status is %+v, %v", st, err)
	}
	if _, err := s.Commit(t.Context(), core.Txn{Ops: []core.Op{op("a", nil)}}); !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("that somebody asked for the state is taken for loading: %v", err)
	}
	if p, err := s.List(t.Context(), core.Query{}); err != nil || len(p.Entries) != 2 {
		t.Errorf("List is %+v, %v", p, err)
	}
	if log, err := s.Log(t.Context(), 1, 0); err != nil || len(log) != 1 {
		t.Errorf("once the epoch is loaded, the log is %+v, %v", log, err)
	}
}

func TestAServerThatForgotCommitsBeginsANewEpoch(t *testing.T) {
	t.Parallel()
	server := services.StartNats(t)
	b, s := openAt(t, server.URL, Options{})
	e := engineOn(t, b)
	for i := range 10 {
		write(t, e, "a", fmt.Sprint(i))
	}
	server.Kill(t)
	restore := server.Backup(t)
	server.Start(t)
	for i := range 5 {
		write(t, e, "b", fmt.Sprint(i))
	}
	before := e.Epoch()
	server.Kill(t)
	restore()
	server.Start(t)
	eventually(t, func() error {
		if e.Epoch() == before || e.Head().Revision != 10 {
			return fmt.Errorf("the Engine is at %v, after epoch %s", e.Head(), before)
		}
		return nil
	})
	if r, err := s.Sync(t.Context()); err != nil || r != 10 || valueOf(t, s, core.MakeKey(core.DefaultEnv, core.KindKey, "b")) != "" {
		t.Errorf("after the loss the store is at %d, %v, want 10 without what was lost", r, err)
	}
	if r := write(t, e, "a", `"again"`); r.Written[0].Version != 11 {
		t.Errorf("a key of which nothing was lost goes on with version %d, want 11", r.Written[0].Version)
	}
	_, again := openAt(t, server.URL, Options{})
	if v := valueOf(t, again, core.MakeKey(core.DefaultEnv, core.KindKey, "a")); v != `"again"` {
		t.Errorf("a node that starts then reads %q", v)
	}
}

func TestALogWithAHoleIsNotServed(t *testing.T) {
	t.Parallel()
	server := services.StartNats(t)
	b, s := openAt(t, server.URL, Options{})
	var second uint64
	for i := range 3 {
		put(t, s, "", op("a", fmt.Append(nil, i)))
		if i == 1 {
			second = s.stands().seq
		}
	}
	_ = b.Close()
	stream, err := admin(t, server.URL).Stream(t.Context(), defaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{URL: server.URL, Options: Options{Timeout: patient}}); !errors.Is(err, core.ErrInternal) || !strings.Contains(err.Error(), "hole") {
		t.Errorf("a log that lacks a message is opened: %v", err)
	}
}

func TestAFullStreamSaysSoAndIsStillRead(t *testing.T) {
	t.Parallel()
	server := services.StartNats(t)
	_, s := openAt(t, server.URL, Options{})
	put(t, s, "", op("a", []byte("1")))
	js := admin(t, server.URL)
	c := info(t, js).Config
	c.MaxBytes = 64 << 10
	if _, err := js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	_, err := s.Commit(t.Context(), core.Txn{Ops: []core.Op{op("large", make([]byte, 100<<10))}})
	if !errors.Is(err, core.ErrUnavailable) || !strings.Contains(err.Error(), "Store is full") {
		t.Errorf("a commit in a full stream is answered %v", err)
	}
	if v := valueOf(t, s, "a"); v != "1" {
		t.Errorf("a full stream is read as %q", v)
	}
	c.MaxBytes = -1
	if _, err := js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	put(t, s, "", op("large", make([]byte, 100<<10)))
}

func TestAServerThatStandsStillIsUnavailableAndGoesOn(t *testing.T) {
	t.Parallel()
	server := services.StartNats(t)
	var b *core.Backend
	eventually(t, func() (err error) {
		b, err = Open(t.Context(), Config{URL: server.URL, Options: Options{Timeout: 2 * time.Second}})
		return err
	})
	defer func() { _ = b.Close() }()
	s := b.Store
	first := persist(t, s, "first")
	server.Pause(t)
	var waiting sync.WaitGroup
	for name, call := range map[string]func() error{
		"Commit": func() error {
			_, err := s.Commit(t.Context(), core.Txn{Meta: core.Meta{ID: "second"}, Ops: []core.Op{op("a", nil)}})
			return err
		},
		"Sync":   func() error { _, err := s.Sync(t.Context()); return err },
		"Log":    func() error { _, err := s.Log(t.Context(), first.Revision, 0); return err },
		"Status": func() error { _, err := s.Status(t.Context()); return err },
	} {
		waiting.Go(func() {
			if err := call(); !errors.Is(err, core.ErrUnavailable) {
				t.Errorf("%s with a server that stands still is answered %v", name, err)
			}
		})
	}
	waiting.Wait()
	if v := valueOf(t, s, "a"); v != "first" {
		t.Errorf("what this node knows is read as %q", v)
	}
	server.Resume(t)
	if c := persist(t, s, "second"); c.Revision != 2 {
		t.Errorf("the commit of unknown outcome, repeated, is revision %d, want 2", c.Revision)
	}
}
