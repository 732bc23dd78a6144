package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// theLog has commits of one key and of several, a delete, an expiry, and progress between them.
func theLog() []wire.Frame {
	return []wire.Frame{
		update("app.a", 2, "e:5"),
		more(update("app.b", 3, "e:6.1")), more(update("app.c", 1, "e:6.2")), update("app.d", 1, "e:6"),
		bookmark("e:7"),
		{Event: "delete", Key: "app.a", Version: 3, Revision: "e:8"},
		{Event: "expired", Key: "app.b", Version: 4, Revision: "e:9"},
		{Event: "revoked", Key: "app.c", Revision: "e:10"},
		{Event: "granted", Key: "app.c", Version: 1, Value: []byte(`"app.c 1"`), Revision: "e:11"},
		update("app.last", 1, "e:12"),
	}
}

func theSnapshot() []wire.Frame {
	return []wire.Frame{
		inSnapshot(update("app.a", 1, "e:2")), inSnapshot(update("app.b", 2, "e:3")), inSnapshot(update("app.z", 1, "e:4")), synced("e:4"),
	}
}

func isLast(e client.Event) bool { return e.Key == "app.last" }

// notReplayed leaves out what says only that a replay is complete: every resumed connection has one.
func notReplayed(events []client.Event) []client.Event {
	return slices.DeleteFunc(slices.Clone(events), func(e client.Event) bool { return e.Event == client.Bookmark })
}

func TestCutAtEveryFrameAndResumeGivesTheIdenticalWhole(t *testing.T) {
	t.Parallel()
	ways := map[string]func(ctx context.Context, ws *websocket.Conn){
		"the connection breaks":   func(_ context.Context, ws *websocket.Conn) { _ = ws.CloseNow() },
		"the server goes away":    func(_ context.Context, ws *websocket.Conn) { _ = ws.Close(wire.CloseGoingAway, "going away") },
		"the reader was too slow": func(_ context.Context, ws *websocket.Conn) { _ = ws.Close(wire.CloseSlow, "too slow") },
		"the token expired":       func(_ context.Context, ws *websocket.Conn) { _ = ws.Close(wire.CloseToken, "expired") },
		"half a frame had been sent": func(ctx context.Context, ws *websocket.Conn) {
			if w, err := ws.Writer(ctx, websocket.MessageText); err == nil {
				_, _ = w.Write([]byte(`{"event":"update","key":"app.a","vers`))
			}
			_ = ws.CloseNow()
		},
	}
	whole, err := until(t, newFake(t, &fake{snapshot: theSnapshot(), log: theLog()}).client(t, client.Options{}),
		client.WatchOptions{Patterns: []string{"app.*"}, Snapshot: true}, isLast)
	if err != nil {
		t.Fatal(err)
	}
	for way, end := range ways {
		for cut := range 1 + len(theSnapshot()) + len(theLog()) {
			t.Run(fmt.Sprintf("%s before frame %d", way, cut), func(t *testing.T) {
				t.Parallel()
				f := newFake(t, &fake{snapshot: theSnapshot(), log: theLog()})
				f.before = func(ctx context.Context, conn, frame int, ws *websocket.Conn) bool {
					if conn > 0 || frame < cut {
						return true
					}
					end(ctx, ws)
					return false
				}
				got, err := until(t, f.client(t, client.Options{Token: client.StaticToken("t")}),
					client.WatchOptions{Patterns: []string{"app.*"}, Snapshot: true}, isLast)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(notReplayed(whole), notReplayed(got)); d != "" {
					t.Errorf("the cut shows (-whole +got):\n%s", d)
				}
			})
		}
	}
}

func TestEveryConnectionCutAfterOneMoreFrameStillGivesTheWhole(t *testing.T) {
	t.Parallel()
	f := newFake(t, &fake{snapshot: theSnapshot(), log: theLog()})
	f.before = func(_ context.Context, conn, frame int, ws *websocket.Conn) bool {
		if frame <= conn/2 { // a snapshot needs a connection that lives long enough
			return true
		}
		_ = ws.CloseNow()
		return false
	}
	got, err := until(t, f.client(t, client.Options{}), client.WatchOptions{Patterns: []string{"app.*"}, Snapshot: true}, isLast)
	if err != nil {
		t.Fatal(err)
	}
	want := notReplayed(slices.Concat(theSnapshot(), theLog()))
	if d := cmp.Diff(want, notReplayed(got)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestASnapshotStartedOverTellsOfWhatIsGoneMeanwhile(t *testing.T) {
	t.Parallel()
	f := newFake(t, &fake{snapshot: theSnapshot(), log: theLog()})
	f.before = func(_ context.Context, conn, frame int, ws *websocket.Conn) bool {
		if conn == 0 && frame == 3 { // a and b have been told
			f.becomes([]wire.Frame{inSnapshot(update("app.b", 5, "e:20")), synced("e:21")}, nil)
			_ = ws.CloseNow()
			return false
		}
		return true
	}
	got, err := until(t, f.client(t, client.Options{}), client.WatchOptions{Patterns: []string{"app.*"}, Snapshot: true},
		func(e client.Event) bool { return e.Synced })
	if err != nil {
		t.Fatal(err)
	}
	want := []client.Event{
		inSnapshot(update("app.a", 1, "e:2")), inSnapshot(update("app.b", 2, "e:3")),
		inSnapshot(update("app.b", 5, "e:20")),
		inSnapshot(client.Event{Event: "delete", Key: "app.a", Revision: "e:21"}), synced("e:21"),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestAResetStartsOverAlsoWhenItsSnapshotIsCut(t *testing.T) {
	t.Parallel()
	whole := []wire.Frame{
		inSnapshot(update("app.a", 1, "f:3")), inSnapshot(update("app.b", 1, "f:4")), inSnapshot(update("other.c", 1, "f:5")),
		synced("f:10"), update("app.last", 1, "f:11"),
	}
	f := newFake(t, &fake{
		log: []wire.Frame{
			{Event: "reset", Revision: "f:9", Patterns: []string{"app.*"}},
			inSnapshot(update("app.a", 1, "f:3")), inSnapshot(update("app.b", 1, "f:4")), synced("f:9"),
		},
	})
	f.before = func(_ context.Context, conn, frame int, ws *websocket.Conn) bool {
		if conn == 0 && frame == 3 {
			f.becomes(whole, nil)
			_ = ws.CloseNow()
			return false
		}
		return true
	}
	got, err := until(t, f.client(t, client.Options{}),
		client.WatchOptions{Patterns: []string{"app.*", "other.c"}, SinceRevision: "e:400"}, isLast)
	if err != nil {
		t.Fatal(err)
	}
	want := append([]client.Event{
		{Event: "reset", Revision: "f:9", Patterns: []string{"app.*"}},
		inSnapshot(update("app.a", 1, "f:3")),
		{Event: "reset"}, // of everything: what other.c was is not known any more
	}, whole...)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestAResetOfEverythingIsToldOnceAlsoWhenItsSnapshotIsCut(t *testing.T) {
	t.Parallel()
	f := newFake(t, &fake{log: []wire.Frame{
		{Event: "reset", Revision: "f:9", Patterns: []string{"app.*"}},
		inSnapshot(update("app.a", 1, "f:3")), inSnapshot(update("app.b", 1, "f:4")), synced("f:9"),
	}})
	f.before = func(_ context.Context, conn, frame int, ws *websocket.Conn) bool {
		if conn == 0 && frame == 3 {
			f.becomes([]wire.Frame{inSnapshot(update("app.a", 1, "f:3")), inSnapshot(update("app.b", 1, "f:4")), synced("f:9")}, nil)
			_ = ws.CloseNow()
			return false
		}
		return true
	}
	got, err := until(t, f.client(t, client.Options{}), client.WatchOptions{Patterns: []string{"app.*"}, SinceRevision: "e:400"},
		func(e client.Event) bool { return e.Synced })
	if err != nil {
		t.Fatal(err)
	}
	want := []client.Event{
		{Event: "reset", Revision: "f:9", Patterns: []string{"app.*"}},
		inSnapshot(update("app.a", 1, "f:3")), inSnapshot(update("app.b", 1, "f:4")), synced("f:9"),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestAWatchFromNowHasNoGapWhereTheFirstConnectionFails(t *testing.T) {
	t.Parallel()
	f := newFake(t, &fake{log: theLog(), head: "e:6"})
	f.upgrade = func(conn int, w http.ResponseWriter, _ *http.Request) bool {
		if conn == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return conn == 0
	}
	got, err := until(t, f.client(t, client.Options{}), client.WatchOptions{Patterns: []string{"app.*"}}, isLast)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(theLog()[4:], got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestRefusalsForGoodEndAWatchWithTheirKind(t *testing.T) {
	t.Parallel()
	closing := func(code websocket.StatusCode) *fake {
		return &fake{before: func(_ context.Context, _, _ int, ws *websocket.Conn) bool {
			_ = ws.Close(code, "no")
			return false
		}}
	}
	answering := func(status int) *fake {
		return &fake{upgrade: func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			return true
		}}
	}
	saying := func(code string) *fake {
		return &fake{snapshot: []wire.Frame{{Event: "error", Code: code, Message: "No such thing"}}}
	}
	for name, c := range map[string]struct {
		f    *fake
		want error
	}{
		"a bad message":             {closing(wire.CloseBadMessage), core.ErrMalformed},
		"a token refused each time": {closing(wire.CloseToken), core.ErrUnauthenticated},
		"the policy's denial":       {closing(wire.CloseForbidden), core.ErrForbidden},
		"401 each time":             {answering(401), core.ErrUnauthenticated},
		"403":                       {answering(403), core.ErrForbidden},
		"404":                       {answering(404), core.ErrNotFound},
		"no WebSocket there":        {answering(200), core.ErrUnsupported},
		"a pattern that is none":    {saying(core.CodeBadPattern), core.ErrInvalid},
		"no such environment":       {saying(core.CodeEnvironment), core.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, c.f)
			_, err := until(t, f.client(t, client.Options{Token: client.StaticToken("t")}),
				client.WatchOptions{Patterns: []string{"*"}, Snapshot: true}, isLast)
			if !errors.Is(err, c.want) {
				t.Errorf("ended with %v, want %v", err, c.want)
			}
		})
	}
}

func TestAFreshTokenIsSentWhenTheOldOneIsAboutToExpire(t *testing.T) {
	t.Parallel()
	f := newFake(t, &fake{snapshot: append(theSnapshot(), wire.Frame{Event: "token_expiring", Revision: "e:4"}), log: theLog()})
	f.before = func(ctx context.Context, _, frame int, ws *websocket.Conn) bool {
		if frame == 1+len(theSnapshot())+1 { // after token_expiring
			_, _ = f.read(ctx, ws)
		}
		return true
	}
	tokens := 0
	source := func(context.Context) (string, error) {
		tokens++
		return fmt.Sprintf("token%d", tokens), nil
	}
	got, err := until(t, f.client(t, client.Options{Token: source}), client.WatchOptions{Patterns: []string{"app.*"}, Snapshot: true}, isLast)
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(got, func(e client.Event) bool { return e.Event == "token_expiring" }) {
		t.Error("the user is told of the token")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if want := "Bearer token1"; f.tokens[0] != want {
		t.Errorf("connected with %q, want %q", f.tokens[0], want)
	}
	if last := f.asked[len(f.asked)-1]; last.Token != "token2" {
		t.Errorf("sent %+v, want token2", f.asked)
	}
}

func TestASilentConnectionCountsAsDead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newPiped(t, &fake{snapshot: theSnapshot(), log: theLog()})
		f.before = func(ctx context.Context, conn, frame int, ws *websocket.Conn) bool {
			if conn == 0 && frame == 4 {
				_, _, _ = ws.Read(ctx) // says nothing until the client goes
				return false
			}
			return true
		}
		begin := time.Now()
		var after time.Duration
		var lost []error
		o := client.WatchOptions{
			Patterns: []string{"app.*"}, Snapshot: true, Silence: 30 * time.Second,
			Lost: func(err error, _ time.Duration) { lost, after = append(lost, err), time.Since(begin) },
		}
		if _, err := until(t, f.client(t, client.Options{}), o, isLast); err != nil {
			t.Fatal(err)
		}
		if len(lost) != 1 || !errors.Is(lost[0], core.ErrUnavailable) || after != o.Silence {
			t.Errorf("lost %v after %v, want one connection that is unavailable, after %v", lost, after, o.Silence)
		}
	})
}

func TestAWatchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	f := newFake(t, &fake{snapshot: theSnapshot()})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for e, err := range f.client(t, client.Options{}).Watch(ctx, client.WatchOptions{Patterns: []string{"*"}, Snapshot: true}) {
		last = err
		if e.Synced {
			cancel()
		}
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("ended with %v, want %v", last, context.Canceled)
	}
}
