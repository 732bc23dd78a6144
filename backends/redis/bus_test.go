package redis

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

// twoNodes are one store, one Redis, and two nodes on them.
func twoNodes(t testing.TB, addrs []string) (one, two *core.Backend, parts [2]*Redis) {
	t.Helper()
	return twoNodesWith(t, addrs, Options{Limit: testLimit})
}

// impatientNodes are two nodes that soon hold a Redis that stands still to be away, as in production.
func impatientNodes(t testing.TB, addrs []string) (one, two *core.Backend, parts [2]*Redis) {
	t.Helper()
	return twoNodesWith(t, addrs, Options{Limit: testLimit, Timeout: defaultTimeout})
}

func twoNodesWith(t testing.TB, addrs []string, o Options) (one, two *core.Backend, parts [2]*Redis) {
	t.Helper()
	one = memory.Open(memory.Options{Shared: true})
	two = one.Store.(*memory.Store).Peer()
	for i, b := range []*core.Backend{one, two} {
		parts[i] = join(t, b, addrs, o)
		t.Cleanup(func() { _ = b.Close() })
	}
	return one, two, parts
}

func listen(t testing.TB, b *core.Backend) <-chan core.Hint {
	t.Helper()
	hints, err := b.Bus.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return hints
}

// hear waits for a hint that something holds of.
func hear(t testing.TB, what string, hints <-chan core.Hint, is func(core.Hint) bool) core.Hint {
	t.Helper()
	for deadline := time.After(patience); ; {
		select {
		case h := <-hints:
			if is(h) {
				return h
			}
		case <-deadline:
			t.Fatalf("in vain listened for: %s", what)
		}
	}
}

func isLook(h core.Hint) bool { return h.Head == 0 }

// subscribed waits for the two looks with which a stream begins: the first, and that of the subscription.
func subscribed(t testing.TB, hints <-chan core.Hint) {
	t.Helper()
	hear(t, "the first hint", hints, isLook)
	hear(t, "the subscription", hints, isLook)
}

func announce(t testing.TB, b *core.Backend, c core.Commit) {
	t.Helper()
	if err := b.Bus.Announce(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func TestAHintBringsTheCommitToTheOtherNodeAlone(t *testing.T) {
	one, two, _ := twoNodes(t, []string{services.StartRedis(t).Addr})
	here, there := listen(t, one), listen(t, two)
	subscribed(t, here)
	subscribed(t, there)
	c := commitOf(entries()...)
	announce(t, one, c)
	if h := hear(t, "the commit", there, func(h core.Hint) bool { return h.Head == c.Revision }); h.Commit == nil || h.Commit.Meta.ID != c.Meta.ID {
		t.Errorf("the hint is %+v", h)
	}
	c.Revision++
	announce(t, two, c)
	if h := <-here; h.Head != c.Revision {
		t.Errorf("the first hint on the node that announced the commit before is %+v", h)
	}
}

func TestWhatIsNoHintSaysLook(t *testing.T) {
	server := services.StartRedis(t)
	one, _, parts := twoNodes(t, []string{server.Addr})
	hints := listen(t, one)
	subscribed(t, hints)
	c := commitOf(entries()...)
	cut := encodeHint(otherNode, &c, hintBytes)[:100]
	for _, message := range [][]byte{{}, []byte("hello"), bytes.Repeat([]byte{0xff}, 1000), cut} {
		if err := server.Client(t).Publish(t.Context(), parts[0].bus.channel(), message).Err(); err != nil {
			t.Fatal(err)
		}
		if h := <-hints; h.Head != 0 || h.Commit != nil {
			t.Errorf("%q is heard as %+v", message, h)
		}
	}
}

func TestNobodyHearsOfAnotherEpoch(t *testing.T) {
	one, two, parts := twoNodes(t, []string{services.StartRedis(t).Addr})
	hints := listen(t, one)
	subscribed(t, hints)
	old := commitOf()
	parts[0].bus.enter("anotherepoch")
	announce(t, two, old) // it has not noticed yet
	hear(t, "the subscription to the new epoch", hints, isLook)
	announce(t, two, old)
	parts[1].bus.enter("anotherepoch")
	fresh := commitOf()
	fresh.Revision++
	announce(t, two, fresh)
	if h := hear(t, "a commit", hints, func(h core.Hint) bool { return h.Head > 0 }); h.Head != fresh.Revision {
		t.Errorf("heard of %d, which the old epoch announced", h.Head)
	}
}

// A server that stands still takes what the connection's buffers hold, and nothing more.
func TestAnnounceWaitsForNobodyWhileRedisStandsStill(t *testing.T) {
	server := services.StartRedis(t)
	one, two, parts := impatientNodes(t, []string{server.Addr})
	hints := listen(t, two)
	subscribed(t, hints)
	server.Pause(t)
	c := commitOf(core.Entry{Key: "k", Doc: core.Doc{Value: bytes.Repeat([]byte("v"), 10_000)}})
	for range 10_000 {
		c.Revision++
		announce(t, one, c)
	}
	if parts[0].Stats().HintsDropped == 0 {
		t.Error("no hint was dropped, so all of them wait")
	}
	before := c.Revision
	server.Resume(t)
	await(t, "Redis is found to be back", func() bool { return !parts[0].Stats().Away })
	await(t, "hints arrive again", func() bool {
		c.Revision++
		announce(t, one, c)
		for {
			select {
			case h := <-hints:
				if h.Head > before {
					return true
				}
			case <-time.After(10 * time.Millisecond):
				return false
			}
		}
	})
}

// engine runs an Engine until the test ends.
func engine(t testing.TB, b *core.Backend, o core.Options) *core.Engine {
	t.Helper()
	o.Authorizer = allowAll{}
	e, err := core.Open(context.Background(), b, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = e.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return e
}

type allowAll struct{}

func (allowAll) Authorize(context.Context, *core.Subject, core.Access) (core.Decision, error) {
	return core.Decision{Allow: true}, nil
}

func (allowAll) Generation() uint64 { return 0 }

var tester = core.Caller{Subject: &core.Subject{Username: "tester"}, Environment: "default"}

func write(t testing.TB, e *core.Engine, key string, value any) {
	t.Helper()
	_, err := e.Write(context.Background(), tester, core.Request{Writes: []core.Write{{Op: core.WritePut, Kind: core.KindKey, Name: key, Value: fmt.Append(nil, value)}}})
	if err != nil {
		t.Fatalf("write of %s: %v", key, err)
	}
}

// watcher follows every key of an engine.
type watcher struct {
	*core.Watcher
	wake chan struct{}
}

func watch(t testing.TB, e *core.Engine) *watcher {
	t.Helper()
	w := &watcher{wake: make(chan struct{}, 1)}
	var err error
	if w.Watcher, err = e.Watch(t.Context(), tester, func() { w.wake <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	w.Subscribe(core.Subscription{Patterns: []string{"*"}, Snapshot: true})
	for !w.next(t).Synced { //nolint:revive // until what is there is told
	}
	return w
}

func (w *watcher) next(t testing.TB) core.Event {
	t.Helper()
	for deadline := time.After(patience); ; {
		ev, ok, err := w.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			return ev
		}
		select {
		case <-w.wake:
		case <-deadline:
			t.Fatal("no event came")
		}
	}
}

// expect takes the versions of a key, each once and in order.
func (w *watcher) expect(t testing.TB, key string, from, to int64) {
	t.Helper()
	for v := from; v <= to; {
		ev := w.next(t)
		if ev.Kind == core.EventBookmark {
			continue
		}
		if ev.Kind != core.EventUpdate || ev.Key != key || ev.Version != v {
			t.Fatalf("heard %s of %s, version %d, want version %d of %s", ev.Kind, ev.Key, ev.Version, v, key)
		}
		v++
	}
}

// A cluster that lacks a master serves two thirds of the keys. To use those would cost a wait for each of the others.
func TestAClusterThatLacksAMasterIsAway(t *testing.T) {
	cluster := services.StartRedisCluster(t)
	one, two, parts := impatientNodes(t, cluster.Addrs())
	a, b := engine(t, one, core.Options{}), engine(t, two, core.Options{})
	w := watch(t, b)
	await(t, "the cluster answers", func() bool { return parts[0].Health() == core.Healthy })
	for i, node := range cluster.Nodes {
		gone, back := node.Kill, node.Start
		if i == 0 {
			gone, back = node.Pause, node.Resume
		}
		write(t, a, "k", i)
		gone(t)
		await(t, "the cluster is away", func() bool { return parts[0].Health() == core.Degraded })
		write(t, a, "k", i)
		back(t)
		await(t, "the cluster is back", func() bool { return parts[0].Health() == core.Healthy && parts[1].Health() == core.Healthy })
		w.expect(t, "k", int64(2*i+1), int64(2*i+2))
	}
	await(t, "the limiter counts again", func() bool { return counts(t, one) })
}

// counts reports whether a node's limiter counts with Redis now.
func counts(t testing.TB, b *core.Backend) bool {
	t.Helper()
	_, err := b.Limiter.Take(t.Context(), "ann", 1)
	return err == nil
}

// With an hour between two looks at the log, only hints bring changes to another node.
func TestAWatcherOnAnotherNodeHearsOfAWriteByHints(t *testing.T) {
	one, two, _ := twoNodes(t, []string{services.StartRedis(t).Addr})
	hours := core.Options{Poll: time.Hour}
	a, b := engine(t, one, hours), engine(t, two, hours)
	await(t, "both nodes have subscribed", func() bool {
		write(t, a, "probe.a", 1)
		write(t, b, "probe.b", 1)
		return a.Head() == b.Head()
	})
	onA, onB := watch(t, a), watch(t, b)
	for i := range int64(200) {
		write(t, []*core.Engine{a, b}[i%2], "k", i)
	}
	onA.expect(t, "k", 1, 200)
	onB.expect(t, "k", 1, 200)
}

func TestNothingIsLostOrDoubledWhileRedisIsAway(t *testing.T) {
	for _, how := range []string{"killed", "stopped"} {
		t.Run(how, func(t *testing.T) {
			server := services.StartRedis(t)
			gone, back := server.Kill, server.Start
			if how == "stopped" {
				gone, back = server.Pause, server.Resume
			}
			one, two, parts := impatientNodes(t, []string{server.Addr})
			a, b := engine(t, one, core.Options{}), engine(t, two, core.Options{})
			onA, onB := watch(t, a), watch(t, b)
			version := int64(0)
			writeSome := func() {
				t.Helper()
				from := version + 1
				for range 20 {
					version++
					write(t, a, "k", version)
				}
				onA.expect(t, "k", from, version)
				onB.expect(t, "k", from, version)
			}
			writeSome()
			gone(t)
			writeSome()
			await(t, "both nodes see that Redis is away", func() bool {
				return parts[0].Health() == core.Degraded && parts[1].Health() == core.Degraded
			})
			writeSome()
			if counts(t, one) {
				t.Error("the shared limiter counts without Redis")
			}
			back(t)
			writeSome()
			await(t, "both nodes see that Redis is back", func() bool {
				return parts[0].Health() == core.Healthy && parts[1].Health() == core.Healthy
			})
			writeSome()
			await(t, "the shared limiter counts again", func() bool { return counts(t, one) })
		})
	}
}
