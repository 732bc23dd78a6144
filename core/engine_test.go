package core_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/core"
)

// acl is an Authorizer that follows the lists of the nearest level only, and lets "root" do everything: enough to tell
// right from wrong without a policy engine.
type acl struct{ generation uint64 }

func (a *acl) Generation() uint64 { return a.generation }

func (a *acl) Authorize(_ context.Context, who *core.Subject, ask core.Access) (core.Decision, error) {
	allowed := func(pick func(*core.ACL) []string) bool {
		if ask.ACL != nil && pick(&ask.ACL.ACL) != nil {
			return in(pick(&ask.ACL.ACL), who.Username)
		}
		for _, l := range slices.Backward(links(ask.Chain)) {
			if pick(&l.Rules.ACL) != nil {
				return in(pick(&l.Rules.ACL), who.Username)
			}
		}
		return false
	}
	ok := who.Username == "root"
	switch ask.Action {
	case core.ActionRead:
		ok = ok || allowed(func(a *core.ACL) []string { return a.Read })
	case core.ActionList, core.ActionWatch:
		ok = true
	case core.ActionAdmin:
		ok = ok || allowed(func(a *core.ACL) []string { return a.Admin })
	default:
		ok = ok || allowed(func(a *core.ACL) []string { return a.Write })
	}
	return core.Decision{Allow: ok, Rule: "test", Reason: "test says no"}, nil
}

func links(c *core.Chain) []core.Link {
	if c == nil {
		return nil
	}
	return c.Links
}

func in(list []string, name string) bool {
	return slices.Contains(list, name) || slices.Contains(list, "*")
}

// world is an engine that runs over a memory backend.
type world struct {
	*core.Engine
	backend *core.Backend
	policy  *acl
	audit   *auditLog
	ctx     context.Context
}

type auditLog struct {
	mu      sync.Mutex
	entries []core.AuditEntry
}

func (a *auditLog) Append(e ...core.AuditEntry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.entries = append(a.entries, e...)
}

func (a *auditLog) all() []core.AuditEntry {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.entries)
}

func start(t testing.TB, o core.Options) *world {
	t.Helper()
	return startOn(t, memory.Open(memory.Options{}), o)
}

func startOn(t testing.TB, b *core.Backend, o core.Options) *world {
	t.Helper()
	w := &world{backend: b, policy: &acl{}, audit: &auditLog{}}
	if o.Authorizer == nil {
		o.Authorizer = w.policy
	}
	o.Audit = w.audit
	e, err := core.Open(t.Context(), b, o)
	if err != nil {
		t.Fatal(err)
	}
	w.Engine = e
	ctx, cancel := context.WithCancel(context.Background())
	w.ctx = ctx
	done := make(chan struct{})
	go func() { defer close(done); _ = e.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

func as(name string) core.Caller {
	return core.Caller{Subject: &core.Subject{Username: name}, Environment: "default", RequestID: "r"}
}

func put(name, value string) core.Write {
	return core.Write{Op: core.WritePut, Kind: core.KindKey, Name: name, Value: []byte(value)}
}

func (w *world) write(t testing.TB, who string, writes ...core.Write) core.Result {
	t.Helper()
	r, err := w.Write(w.ctx, as(who), core.Request{Writes: writes})
	if err != nil {
		t.Fatalf("write %s as %s: %v", writes[0].Name, who, err)
	}
	return r
}

func (w *world) read(who, name string) (core.Item, error) {
	return w.Get(w.ctx, as(who), core.Read{Kind: core.KindKey, Name: name})
}

func want(t testing.TB, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got error %v, want %v", err, kind)
	}
}

func ptr[T any](v T) *T { return &v }

func TestAWriteIsReadBackByteForByte(t *testing.T) {
	w := start(t, core.Options{})
	value := `{"b":1,"a":12345678901234567890.10,"b":"\u0000"}`
	r := w.write(t, "root", put("app.x", value))
	if r.Written[0].Version != 1 || !r.Written[0].Created || r.Position.Revision != 1 {
		t.Errorf("got %+v", r)
	}
	it, err := w.read("root", "app.x")
	if err != nil || string(it.Entry.Doc.Value) != value || it.Entry.Version != 1 {
		t.Errorf("got %+v, %v", it, err)
	}
	r = w.write(t, "root", put("app.x", "2"))
	if r.Written[0].Version != 2 || r.Written[0].Created {
		t.Errorf("got %+v", r)
	}
}

func TestRefusalsComeInOrder(t *testing.T) {
	w := start(t, core.Options{})
	w.write(t, "root", put("a.k", "1"))
	_, err := w.read("nobody", "a.absent")
	want(t, err, core.ErrNotFound)
	_, err = w.read("nobody", "a.k")
	want(t, err, core.ErrForbidden)
	_, err = w.Write(w.ctx, as("nobody"), core.Request{Writes: []core.Write{{Op: core.WriteDelete, Kind: core.KindKey, Name: "a.absent"}}})
	want(t, err, core.ErrNotFound)
	p := put("a.k", "2")
	p.IfMatch = &core.Match{Versions: []int64{9}}
	_, err = w.Write(w.ctx, as("nobody"), core.Request{Writes: []core.Write{p}})
	want(t, err, core.ErrForbidden)
	_, err = w.Write(w.ctx, as("root"), core.Request{Writes: []core.Write{p}})
	want(t, err, core.ErrPrecondition)
	_, err = w.Write(w.ctx, as("root"), core.Request{Writes: []core.Write{put("system.config.x", "1")}})
	want(t, err, core.ErrInvalid)
	_, err = w.Write(w.ctx, as("root"), core.Request{Writes: []core.Write{{Op: core.WritePatch, Kind: core.KindKey, Name: "system.config.x", Value: []byte("1")}}})
	want(t, err, core.ErrNotFound)
	_, err = w.Write(w.ctx, as("root"), core.Request{Writes: []core.Write{put("big", `"`+strings.Repeat("x", core.MaxValue)+`"`)}})
	want(t, err, core.ErrTooLarge)
	c := as("root")
	c.Environment = "nowhere"
	_, err = w.Get(w.ctx, c, core.Read{Kind: core.KindKey, Name: "k"})
	want(t, err, core.ErrNotFound)
}

func TestOfRacingConditionalWritersOneWins(t *testing.T) {
	w := start(t, core.Options{})
	w.write(t, "root", put("k", "0"))
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 16 {
		wg.Go(func() {
			p := put("k", fmt.Sprint(i))
			p.IfMatch = &core.Match{Versions: []int64{1}}
			_, err := w.Write(w.ctx, as("root"), core.Request{Writes: []core.Write{p}})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, core.ErrPrecondition) {
				t.Errorf("got %v, want a failed condition", err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d writers won, want 1", won)
	}
}

func TestUnconditionalWritersOfOneKeyAllSucceed(t *testing.T) {
	w := start(t, core.Options{})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			if _, err := w.Write(w.ctx, as("root"), core.Request{Writes: []core.Write{put("k", fmt.Sprint(i))}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if it, err := w.read("root", "k"); err != nil || it.Entry.Version != 64 {
		t.Errorf("got version %d, %v, want 64", it.Entry.Version, err)
	}
}

func TestAnExpiredKeyIsGoneAtOnceAndItsVersionGoesOn(t *testing.T) {
	now := time.Now()
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	w := start(t, core.Options{Now: clock})
	p := put("k", "1")
	p.SetTTL, p.TTL = true, time.Second
	w.write(t, "root", p)
	mu.Lock()
	now = now.Add(time.Second)
	mu.Unlock()
	_, err := w.read("root", "k")
	want(t, err, core.ErrNotFound)
	r := w.write(t, "root", put("k", "2"))
	if r.Written[0].Version != 3 || !r.Written[0].Created {
		t.Errorf("got %+v, want version 3, created", r.Written[0])
	}
	it, err := w.read("root", "k")
	if err != nil || it.Entry.Doc.TTL != 0 {
		t.Errorf("got TTL %v, %v: re-creation takes none over", it.Entry.Doc.TTL, err)
	}
}

func TestPatchKeepsWhatIsNotSent(t *testing.T) {
	w := start(t, core.Options{})
	p := put("k", "1")
	p.SetACL, p.ACL, p.SetTTL, p.TTL = true, &core.ACL{Write: []string{"bob"}, Read: []string{"bob"}}, true, time.Hour
	w.write(t, "root", p)
	w.write(t, "bob", core.Write{Op: core.WritePatch, Kind: core.KindKey, Name: "k", Value: []byte("2")})
	it, err := w.read("bob", "k")
	if err != nil || it.Entry.Doc.TTL != time.Hour || string(it.Entry.Doc.Value) != "2" {
		t.Errorf("got %+v, %v", it.Entry, err)
	}
	_, err = w.Write(w.ctx, as("bob"), core.Request{Writes: []core.Write{{Op: core.WritePatch, Kind: core.KindKey, Name: "k", SetTTL: true}}})
	want(t, err, core.ErrForbidden)
	w.write(t, "bob", core.Write{Op: core.WritePatch, Kind: core.KindKey, Name: "k", SetTTL: true, TTL: time.Hour})
	w.write(t, "root", core.Write{Op: core.WritePatch, Kind: core.KindKey, Name: "k", SetTTL: true})
	it, err = w.read("bob", "k")
	if err != nil || it.Entry.Doc.TTL != 0 || string(it.Entry.Doc.Value) != "2" || !it.Entry.Doc.Expires.IsZero() {
		t.Errorf("got %+v, %v", it.Entry, err)
	}
}

func TestABatchIsOneCommitOrNothing(t *testing.T) {
	w := start(t, core.Options{})
	bad := put("b", "1")
	bad.IfMatch = &core.Match{Any: true}
	_, err := w.Write(w.ctx, as("root"), core.Request{Writes: []core.Write{put("a", "1"), bad}})
	want(t, err, core.ErrPrecondition)
	_, err = w.read("root", "a")
	want(t, err, core.ErrNotFound)
	r := w.write(t, "root", put("a", "1"), put("b", "1"))
	if r.Position.Revision != 1 || len(r.Written) != 2 {
		t.Errorf("got %+v", r)
	}
}

func TestAnIdempotencyKeyWritesOnce(t *testing.T) {
	w := start(t, core.Options{})
	req := core.Request{Writes: []core.Write{put("k", "1")}, Idempotency: "once", Digest: [32]byte{1}}
	first, err := w.Write(w.ctx, as("root"), req)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.Write(w.ctx, as("root"), req)
	if err != nil || !again.Repeated || again.Position != first.Position || again.Written[0] != first.Written[0] {
		t.Errorf("got %+v, %v, want %+v", again, err, first)
	}
	if it, _ := w.read("root", "k"); it.Entry.Version != 1 {
		t.Errorf("version is %d after a repeat", it.Entry.Version)
	}
	req.Digest = [32]byte{2}
	_, err = w.Write(w.ctx, as("root"), req)
	want(t, err, core.ErrInvalid)
	req.Digest = [32]byte{1}
	if _, err = w.Write(w.ctx, as("bob"), req); !errors.Is(err, core.ErrForbidden) {
		t.Errorf("another principal's repeat: got %v, want forbidden", err)
	}
}

func TestListsHoldOnlyWhatMayBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, core.Options{})
		for i := range 30 {
			p := put(fmt.Sprintf("app.k%02d", i), fmt.Sprint(i))
			if i%3 == 0 {
				p.SetACL, p.ACL = true, &core.ACL{Read: []string{"bob"}}
			}
			w.write(t, "root", p)
		}
		w.write(t, "root", put("apple", "1"))
		var names []string
		f := core.Filter{Kind: core.KindKey, Namespace: "app", Limit: 4, Values: true}
		for {
			l, err := w.List(w.ctx, as("bob"), f)
			if err != nil {
				t.Fatal(err)
			}
			if l.Total != 10 || len(l.Items) != len(l.Names) {
				t.Fatalf("got %+v", l)
			}
			names = append(names, l.Names...)
			if f.After = l.Next; l.Next == "" {
				break
			}
		}
		if len(names) != 10 || !slices.IsSorted(names) {
			t.Errorf("got %v", names)
		}
		l, err := w.GetMany(w.ctx, as("bob"), core.KindKey, []string{"app.k03", "app.k01", "nope"})
		if err != nil || !slices.Equal(l.Names, []string{"app.k03"}) {
			t.Errorf("got %+v, %v", l.Names, err)
		}
	})
}

func TestAHeldReadWakesWhenTheKeyChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, core.Options{})
		w.write(t, "root", put("k", "1"))
		got := make(chan core.Item, 1)
		go func() {
			it, _ := w.Get(w.ctx, as("root"), core.Read{Kind: core.KindKey, Name: "k", Since: ptr(int64(1)), Wait: time.Minute})
			got <- it
		}()
		synctest.Wait() // until it is held
		begin := time.Now()
		w.write(t, "root", put("k", "2"))
		if it := <-got; it.Entry.Version != 2 || time.Since(begin) > 0 {
			t.Errorf("got %+v after %v, want it at once", it, time.Since(begin))
		}
		it, err := w.Get(w.ctx, as("root"), core.Read{Kind: core.KindKey, Name: "k", Since: ptr(int64(2)), Wait: time.Millisecond})
		if err != nil || !it.NotModified {
			t.Errorf("got %+v, %v, want not modified", it, err)
		}
		it, err = w.Get(w.ctx, as("root"), core.Read{Kind: core.KindKey, Name: "k", Since: ptr(int64(7))})
		if err != nil || it.NotModified {
			t.Errorf("a number above the version: got %+v, %v, want the value", it, err)
		}
	})
}
