package core_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

func TestAWatcherHearsChangesInOrder(t *testing.T) {
	w := start(t, core.Options{})
	s := w.stream(t, "root")
	s.w.Subscribe(sub("app.*", "single"))
	s.expect("subscribed")
	w.write(t, "root", put("app.a", "1"))
	w.write(t, "root", put("other", "1"))
	w.write(t, "root", put("app/b", "1"))
	w.write(t, "root", put("single", "1"))
	w.write(t, "root", core.Write{Op: core.WriteDelete, Kind: core.KindKey, Name: "app.a"})
	s.expect("update app.a 1", "update app/b 1", "update single 1", "delete app.a 2")
}

func TestACommitArrivesWhole(t *testing.T) {
	w := start(t, core.Options{})
	s := w.stream(t, "root")
	s.w.Subscribe(sub("app.*"))
	s.expect("subscribed")
	w.write(t, "root", put("app.a", "1"), put("app.b", "1"), put("z", "1"))
	events := s.expect("update app.a 1 more", "update app.b 1")
	if got := events[0].Position.String(); !strings.HasSuffix(got, ":1.1") {
		t.Errorf("got position %s, want …:1.1", got)
	}
	if got := events[1].Position.String(); !strings.HasSuffix(got, ":1") {
		t.Errorf("got position %s, want …:1", got)
	}
}

// Cut a stream at every event, resume there, and demand the rest of the identical whole.
func TestResumeFromEveryFrameMissesAndRepeatsNothing(t *testing.T) {
	w := start(t, core.Options{})
	s := w.stream(t, "root")
	s.w.Subscribe(core.Subscription{Patterns: []string{"app.*"}, Snapshot: true})
	first := s.expect("subscribed", "bookmark synced")[1]
	for i := range 20 {
		switch i % 4 {
		case 0:
			w.write(t, "root", put("app.a", "1"), put("app.b", "2"), put("app.c", "3"))
		case 1:
			w.write(t, "root", put("elsewhere", "1"))
		case 2:
			w.write(t, "root", core.Write{Op: core.WriteDelete, Kind: core.KindKey, Name: "app.b"})
		case 3:
			w.write(t, "root", put("app.x", "1"))
		}
	}
	var whole []core.Event
	for len(whole) < 25 {
		whole = append(whole, s.next())
	}
	for cut := -1; cut < len(whole); cut++ {
		at := first.Position
		if cut >= 0 {
			at = whole[cut].Position
		}
		r := w.stream(t, "root")
		r.w.Subscribe(core.Subscription{Patterns: []string{"app.*"}, SinceRevision: at.String()})
		events := r.until(core.EventBookmark)
		got, want := events[1:len(events)-1], whole[cut+1:]
		if len(got) != len(want) {
			t.Fatalf("cut at %d (%s): got %d events, want %d", cut, at, len(got), len(want))
		}
		for i := range got {
			if line(got[i]) != line(want[i]) || got[i].Position != want[i].Position {
				t.Errorf("cut at %d, event %d: got %s at %s, want %s at %s", cut, i, line(got[i]), got[i].Position, line(want[i]), want[i].Position)
			}
		}
		r.w.Close()
	}
}

func TestASnapshotIsFollowedWithoutAGap(t *testing.T) {
	w := start(t, core.Options{})
	for i := range 500 {
		w.write(t, "root", put(fmt.Sprintf("app.k%03d", i), "0"))
	}
	// The writer is never so far ahead of a watcher that it would be conflated, and goes on meanwhile.
	due, done := make(chan struct{}, 400), make(chan struct{})
	go func() {
		defer close(done)
		i := 0
		for range due {
			if _, err := w.Write(w.ctx, as("root"), core.Request{Writes: []core.Write{put(fmt.Sprintf("app.k%03d", i%500), "1")}}); err != nil {
				t.Error(err)
			}
			i++
		}
	}()
	defer func() {
		close(due)
		<-done
	}()
	for range 20 {
		for range cap(due) - len(due) {
			due <- struct{}{}
		}
		s := w.stream(t, "root")
		s.w.Subscribe(core.Subscription{Patterns: []string{"*"}, Snapshot: true})
		held := map[string]int64{}
		events := s.until(core.EventBookmark)
		for _, ev := range events[1 : len(events)-1] {
			if held[ev.Key] != 0 {
				t.Fatalf("%s came twice in a snapshot", ev.Key)
			}
			held[ev.Key] = ev.Version
		}
		if len(held) != 500 {
			t.Fatalf("a snapshot holds %d keys, want 500", len(held))
		}
		for range 200 {
			due <- struct{}{}
			ev := s.next()
			if ev.Version != held[ev.Key]+1 {
				t.Fatalf("%s went from version %d to %d", ev.Key, held[ev.Key], ev.Version)
			}
			held[ev.Key] = ev.Version
		}
		s.w.Close()
	}
}

func TestSinceVersionSendsWhatIsNewer(t *testing.T) {
	w := start(t, core.Options{})
	w.write(t, "root", put("a", "1"))
	w.write(t, "root", put("b", "1"))
	w.write(t, "root", put("b", "2"))
	w.write(t, "root", put("c", "1"))
	w.write(t, "root", core.Write{Op: core.WriteDelete, Kind: core.KindKey, Name: "c"})
	w.write(t, "root", put("d.x", "1"))
	s := w.stream(t, "root")
	s.w.Subscribe(core.Subscription{Patterns: []string{"a", "b", "c", "d.*", "absent"}, SinceVersion: ptr(int64(1))})
	s.expect("subscribed", "update d.x 1 snapshot", "update b 2", "delete c 2", "bookmark synced")
}

func TestAReaderWhoLosesTheRightGetsNothingMore(t *testing.T) {
	w := start(t, core.Options{})
	readers := func(names ...string) core.Write {
		return core.Write{Op: core.WritePatch, Kind: core.KindKey, Name: "k", SetACL: true, ACL: &core.ACL{Read: names}}
	}
	p := put("k", "1")
	p.SetACL, p.ACL = true, &core.ACL{Read: []string{"bob"}}
	w.write(t, "root", p)
	s := w.stream(t, "bob")
	s.w.Subscribe(core.Subscription{Patterns: []string{"*"}, Snapshot: true})
	from := s.expect("subscribed", "update k 1 snapshot", "bookmark synced")[2]
	w.write(t, "root", readers("eve"))
	w.write(t, "root", put("k", `"secret"`))
	w.write(t, "root", readers("bob"))
	w.write(t, "root", core.Write{Op: core.WriteDelete, Kind: core.KindKey, Name: "k"})
	s.expect("revoked k", "granted k 4", "delete k 5")
	r := w.stream(t, "bob")
	r.w.Subscribe(core.Subscription{Patterns: []string{"*"}, SinceRevision: from.Position.String()})
	for _, ev := range r.until(core.EventBookmark) {
		if ev.Version == 3 {
			t.Errorf("a value came that was never readable: %+v", ev)
		}
	}
}

func TestANamespaceChangeResets(t *testing.T) {
	w := start(t, core.Options{})
	ns := core.Write{Op: core.WritePut, Kind: core.KindNamespace, Name: "app", SetACL: true, ACL: &core.ACL{Read: []string{"bob"}}}
	w.write(t, "root", ns)
	w.write(t, "root", put("app.k", "1"))
	s := w.stream(t, "bob")
	s.w.Subscribe(core.Subscription{Patterns: []string{"app.k"}, Snapshot: true})
	from := s.expect("subscribed", "update app.k 1 snapshot", "bookmark synced")[2]
	ns.ACL = &core.ACL{Read: []string{}}
	w.write(t, "root", ns)
	s.expect("reset", "bookmark synced")
	w.write(t, "root", put("app.k", "2"))
	ns.ACL = nil
	w.write(t, "root", core.Write{Op: core.WritePut, Kind: core.KindNamespace, Name: "elsewhere", SetACL: true, ACL: &core.ACL{Read: []string{"*"}}})
	w.write(t, "root", core.Write{Op: core.WritePut, Kind: core.KindNamespace, Name: "*", SetACL: true, ACL: &core.ACL{Write: []string{"bob"}}})
	s.expect("reset", "bookmark synced")
	r := w.stream(t, "bob")
	r.w.Subscribe(core.Subscription{Patterns: []string{"app.k"}, SinceRevision: from.Position.String()})
	r.expect("subscribed", "reset", "bookmark synced")
}

func TestAnotherPolicyResets(t *testing.T) {
	policy := &switching{}
	w := start(t, core.Options{Authorizer: policy})
	w.write(t, "root", put("k", "1"))
	s := w.stream(t, "root")
	s.w.Subscribe(core.Subscription{Patterns: []string{"*"}, Snapshot: true})
	s.expect("subscribed", "update k 1 snapshot", "bookmark synced")
	policy.closed.Store(true)
	s.expect("reset", "bookmark synced")
}

func TestAPolicyThatIsLateEndsAStreamAndLeavesNothingOut(t *testing.T) {
	policy := &tardy{}
	w := start(t, core.Options{Authorizer: policy})
	s := w.stream(t, "root")
	s.w.Subscribe(sub("*"))
	s.expect("subscribed")
	from := w.write(t, "root", put("a", "1")).Position
	s.expect("update a 1")
	policy.late.Store(true)
	w.write(t, "root", put("b", "1"))
	want(t, s.end(), core.ErrUnavailable)
	_, err := w.List(w.ctx, as("root"), core.Filter{Kind: core.KindKey})
	want(t, err, core.ErrUnavailable)

	again := w.stream(t, "root")
	again.w.Subscribe(core.Subscription{Patterns: []string{"*"}, SinceRevision: from.String()})
	want(t, again.end(), core.ErrUnavailable)
	policy.late.Store(false)
	again = w.stream(t, "root")
	again.w.Subscribe(core.Subscription{Patterns: []string{"*"}, SinceRevision: from.String()})
	again.expect("subscribed", "update b 1", "bookmark synced")
}

// tardy allows everything, but does not get to say so of reads and watches while it is late.
type tardy struct{ late atomic.Bool }

func (p *tardy) Authorize(_ context.Context, _ *core.Subject, ask core.Access) (core.Decision, error) {
	if p.late.Load() && (ask.Action == core.ActionRead || ask.Action == core.ActionWatch) {
		return core.Decision{Late: true, Rule: "policy-error"}, nil
	}
	return core.Decision{Allow: true}, nil
}

func (*tardy) Generation() uint64 { return 0 }

// switching allows everything until it is closed, then denies reading.
type switching struct{ closed atomic.Bool }

func (s *switching) Authorize(_ context.Context, _ *core.Subject, ask core.Access) (core.Decision, error) {
	return core.Decision{Allow: !s.closed.Load() || ask.Action != core.ActionRead}, nil
}

func (s *switching) Generation() uint64 {
	if s.closed.Load() {
		return 1
	}
	return 0
}

func TestASlowReaderGetsTheLastChangeOfEachKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, core.Options{})
		w.write(t, "root", put("app.gone", "1"))
		s := w.stream(t, "root")
		s.w.Subscribe(core.Subscription{Patterns: []string{"app.*"}, Snapshot: true})
		s.expect("subscribed", "update app.gone 1 snapshot", "bookmark synced")
		w.write(t, "root", core.Write{Op: core.WriteDelete, Kind: core.KindKey, Name: "app.gone"})
		for i := range 9000 {
			w.write(t, "root", put(fmt.Sprintf("app.k%d", i%3), fmt.Sprint(i)))
		}
		last := w.stream(t, "root")
		last.w.Subscribe(sub("app.z"))
		last.expect("subscribed")
		w.write(t, "root", put("app.y", "1"), put("app.z", "1"))
		last.expect("update app.z 1") // everything has been handed out by now
		events := s.expect("delete app.gone 2 conflated", "update app.k0 3000 conflated", "update app.k1 3000 conflated",
			"update app.k2 3000 conflated")
		rest := []core.Event{s.next(), s.next()}
		if !rest[0].More || rest[1].More || rest[0].Position.Sub != 1 {
			t.Errorf("a conflated commit of two keys came as %+v", rest)
		}
		r := w.stream(t, "root")
		r.w.Subscribe(core.Subscription{Patterns: []string{"app.*"}, SinceRevision: events[2].Position.String()})
		r.expect("subscribed", "update app.k2 3000", "update app.y 1 more", "update app.z 1", "bookmark synced")
		w.write(t, "root", put("app.k0", "1"))
		s.expect("update app.k0 3001")
	})
}

func TestEveryEndsRatherThanConflates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, core.Options{})
		s := w.stream(t, "root")
		s.w.Subscribe(core.Subscription{Patterns: []string{"*"}, Every: true})
		s.expect("subscribed")
		last := w.stream(t, "root")
		last.w.Subscribe(sub("last"))
		last.expect("subscribed")
		for i := range 8300 {
			w.write(t, "root", put("k", fmt.Sprint(i)))
		}
		w.write(t, "root", put("last", "1"))
		last.expect("update last 1") // everything has been handed out by now
		_, _, err := s.w.Next(w.ctx)
		want(t, err, core.ErrSlow)
	})
}

func TestBadSubscriptionsChangeNothing(t *testing.T) {
	w := start(t, core.Options{})
	s := w.stream(t, "root")
	s.w.Subscribe(sub("app..*/"))
	s.w.Subscribe(core.Subscription{Patterns: []string{"a"}, Snapshot: true, SinceVersion: ptr(int64(1))})
	s.w.Subscribe(core.Subscription{Patterns: []string{"a"}, SinceRevision: "nonsense"})
	s.expect("error bad_pattern", "error bad_message", "error bad_revision")
	many := make([]string, core.MaxPatterns)
	for i := range many {
		many[i] = fmt.Sprintf("k%d", i)
	}
	s.w.Subscribe(sub(many...))
	s.w.Subscribe(sub("one.more"))
	s.w.Unsubscribe("7", []string{"k0"})
	s.w.Subscribe(sub("one.more"))
	s.expect("subscribed", "error too_many_subscriptions", "unsubscribed", "subscribed")
	w.write(t, "root", put("k0", "1"))
	w.write(t, "root", put("one.more", "1"))
	s.expect("update one.more 1")
}

func TestARevisionOutOfReachResets(t *testing.T) {
	w := start(t, core.Options{})
	w.write(t, "root", put("k", "1"))
	for _, since := range []string{"otherepoch:1", w.Epoch() + ":99"} {
		s := w.stream(t, "root")
		s.w.Subscribe(core.Subscription{Patterns: []string{"*"}, SinceRevision: since})
		s.expect("subscribed", "reset", "update k 1 snapshot", "bookmark synced")
		s.w.Close()
	}
}

func TestWatchersHearOfExpiryWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, core.Options{})
		s := w.stream(t, "root")
		s.w.Subscribe(sub("*"))
		s.expect("subscribed")
		p := put("k", "1")
		p.SetTTL, p.TTL = true, time.Second
		w.write(t, "root", p)
		s.expect("update k 1")
		over := time.Now().Add(p.TTL)
		s.expect("expired k 2")
		if late := time.Since(over); late < 0 || late > time.Second {
			t.Errorf("told %v after the instant", late)
		}
		synctest.Wait() // for the audit
		if i := slices.IndexFunc(w.audit.all(), func(a core.AuditEntry) bool { return a.Action == "expire" }); i < 0 {
			t.Error("expiry left no audit entry")
		}
	})
}
