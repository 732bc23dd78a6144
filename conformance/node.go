package conformance

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

var enginePromises = []promise{
	{name: "the engine converges with no hints at all", test: convergesWithoutHints},
	{name: "the engine converges by hints", needs: needsBus | needsPeer, test: convergesByHints},
}

// allowAll is the Authorizer of tests that are not about rules.
type allowAll struct{}

func (allowAll) Authorize(context.Context, *core.Subject, core.Access) (core.Decision, error) {
	return core.Decision{Allow: true, Rule: "all"}, nil
}

func (allowAll) Generation() uint64 { return 0 }

var tester = core.Caller{Subject: &core.Subject{Username: "tester"}, Environment: "default"}

// startEngine runs an Engine on b until the test ends.
func startEngine(t testing.TB, b *core.Backend, poll time.Duration) *core.Engine {
	t.Helper()
	var e *core.Engine
	err := insist(t.Context(), func() (err error) {
		e, err = core.Open(t.Context(), b, core.Options{Authorizer: allowAll{}, Poll: poll})
		return err
	})
	if err != nil {
		t.Fatalf("core.Open: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := e.Run(ctx); err != nil {
			t.Errorf("Engine.Run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return e
}

func write(name, value string) core.Write {
	return core.Write{Op: core.WritePut, Kind: core.KindKey, Name: name, Value: []byte(value)}
}

func convergesWithoutHints(t testing.TB, s *subject) {
	here, there := *s.Backend, *s.peer(t)
	here.Bus, there.Bus = nil, nil
	converges(t, s, startEngine(t, &here, 5*time.Millisecond), startEngine(t, &there, 5*time.Millisecond))
}

// convergesByHints polls so rarely that only hints can do it.
func convergesByHints(t testing.TB, s *subject) {
	converges(t, s, startEngine(t, s.Backend, time.Hour), startEngine(t, s.peer(t), time.Hour))
}

// converges writes on one engine, again and again since hints may be lost, until the other shows what was written first.
func converges(t testing.TB, s *subject, from, to *core.Engine) {
	t.Helper()
	for round := range 20 {
		name, value := "k", string(rune('0'+round%10))
		end := time.Now().Add(s.patience())
		for version := int64(0); ; {
			res, err := from.Write(t.Context(), tester, core.Request{Writes: []core.Write{write(name, value)}})
			if err != nil {
				t.Fatalf("Write: %v", err)
			}
			if version == 0 {
				version = res.Written[0].Version
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err = arrives(ctx, to, name, version)
			cancel()
			if err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("what one engine writes does not arrive at the other: %v", err)
			}
		}
	}
}

// arrives waits until an engine shows at least a version.
func arrives(ctx context.Context, e *core.Engine, name string, version int64) error {
	for since := int64(0); ; {
		item, err := e.Get(ctx, tester, core.Read{Kind: core.KindKey, Name: name, Since: &since, Wait: core.MaxWait})
		switch {
		case errors.Is(err, core.ErrNotFound):
		case err != nil:
			return err
		case item.Entry.Version >= version:
			return nil
		default:
			since = item.Entry.Version
		}
	}
}
