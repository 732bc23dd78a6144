package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// run keeps a Mirror in step until the test ends, and returns a channel of its changes.
func run(t *testing.T, m *client.Mirror) <-chan string {
	t.Helper()
	changes := make(chan string, 100)
	_, err := m.OnChange("*", func(c client.Change) {
		text := func(v *client.Value) string {
			if v == nil {
				return "-"
			}
			return fmt.Sprint(v.Version)
		}
		changes <- c.Key + " " + text(c.Was) + ">" + text(c.Is)
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	})
	return changes
}

func mirror(t *testing.T, f *fake, patterns ...string) *client.Mirror {
	t.Helper()
	m, err := f.client(t, client.Options{}).NewMirror(patterns...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// upTo reads changes up to and including last.
func upTo(t *testing.T, changes <-chan string, last string) []string {
	t.Helper()
	var got []string
	for {
		select {
		case c := <-changes:
			if got = append(got, c); c == last {
				return got
			}
		case <-t.Context().Done():
			t.Fatalf("no %q in %q", last, got)
		}
	}
}

func TestAMirrorFollowsEveryKindOfChange(t *testing.T) {
	t.Parallel()
	m := mirror(t, newFake(t, &fake{snapshot: theSnapshot(), log: theLog()}), "app.*")
	got := upTo(t, run(t, m), "app.last ->1")
	want := []string{
		"app.a ->1", "app.b ->2", "app.z ->1",
		"app.a 1>2", "app.b 2>3", "app.c ->1", "app.d ->1", "app.a 2>-", "app.b 3>-", "app.c 1>-", "app.c ->1", "app.last ->1",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	<-m.Ready()
	if v, ok := m.Get("app.z"); !ok || string(v.Raw) != `"app.z 1"` || v.Version != 1 {
		t.Errorf("app.z is %s, %v", v.Raw, ok)
	}
	if s, err := client.Decode[string](m, "app.z"); s != "app.z 1" || err != nil {
		t.Errorf("app.z decodes to %q, %v", s, err)
	}
	if _, err := client.Decode[string](m, "app.a"); !errors.Is(err, core.ErrNotFound) {
		t.Errorf("the deleted app.a decodes with %v, want %v", err, core.ErrNotFound)
	}
	if _, err := client.Decode[int](m, "app.z"); !errors.Is(err, core.ErrInvalid) {
		t.Errorf("app.z decodes to an int with %v, want %v", err, core.ErrInvalid)
	}
	if got := m.Revision(); got != "e:12" {
		t.Errorf("revision is %q, want e:12", got)
	}
}

func TestAMirrorShowsACommitOfSeveralKeysWhole(t *testing.T) {
	t.Parallel()
	m := mirror(t, newFake(t, &fake{snapshot: theSnapshot(), log: theLog()}), "app.*")
	var seen map[string]client.Value
	if _, err := m.OnChange("app.b", func(c client.Change) {
		if c.Is != nil && c.Is.Version == 3 {
			seen = m.All()
		}
	}); err != nil {
		t.Fatal(err)
	}
	upTo(t, run(t, m), "app.last ->1")
	if seen["app.c"].Version != 1 || seen["app.d"].Version != 1 {
		t.Errorf("with app.b 3 the mirror held %v, want app.c and app.d of the same commit", seen)
	}
}

func TestAMirrorIsReplacedWholeByAReset(t *testing.T) {
	t.Parallel()
	f := newFake(t, &fake{snapshot: append(theSnapshot(),
		wire.Frame{Event: "reset", Revision: "f:8"},
		inSnapshot(update("app.a", 1, "f:2")), inSnapshot(update("app.b", 4, "f:3")), synced("f:8"), update("app.last", 1, "f:9"),
	)})
	m := mirror(t, f, "app.*")
	got := upTo(t, run(t, m), "app.last ->1")
	want := []string{"app.a ->1", "app.b ->2", "app.z ->1", "app.b 2>4", "app.z 1>-", "app.last ->1"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestAResetOfSomePatternsKeepsTheOthers(t *testing.T) {
	t.Parallel()
	f := newFake(t, &fake{snapshot: []wire.Frame{
		inSnapshot(update("app.a", 1, "e:2")), inSnapshot(update("other.b", 1, "e:3")), synced("e:4"),
		{Event: "reset", Revision: "e:5", Patterns: []string{"app.*"}},
		synced("e:5"), update("app.last", 1, "e:6"),
	}})
	m := mirror(t, f, "app.*", "other.*")
	got := upTo(t, run(t, m), "app.last ->1")
	want := []string{"app.a ->1", "other.b ->1", "app.a 1>-", "app.last ->1"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestKeysThatWentDuringADisconnectionLeaveTheMirror(t *testing.T) {
	t.Parallel()
	for cut := range 10 {
		t.Run(fmt.Sprintf("cut before frame %d", cut), func(t *testing.T) {
			t.Parallel()
			f := newFake(t, &fake{snapshot: theSnapshot(), log: theLog()})
			f.before = func(_ context.Context, conn, frame int, ws *websocket.Conn) bool {
				if conn == 0 && frame == cut {
					_ = ws.CloseNow()
					return false
				}
				return true
			}
			m := mirror(t, f, "app.*")
			got := upTo(t, run(t, m), "app.last ->1")
			if !slices.Contains(got, "app.a 2>-") {
				t.Errorf("nobody was told that app.a is gone: %q", got)
			}
			var keys []string
			for key := range m.All() {
				keys = append(keys, key)
			}
			slices.Sort(keys)
			if d := cmp.Diff([]string{"app.c", "app.d", "app.last", "app.z"}, keys); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestACancelledHookHearsNothingMore(t *testing.T) {
	t.Parallel()
	m := mirror(t, newFake(t, &fake{snapshot: theSnapshot(), log: theLog()}), "app.*")
	calls := 0
	var cancel func()
	cancel, err := m.OnChange("app.a", func(client.Change) { calls++; cancel() })
	if err != nil {
		t.Fatal(err)
	}
	upTo(t, run(t, m), "app.last ->1")
	if calls != 1 {
		t.Errorf("called %d times, want once", calls)
	}
}
