package conformance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/dynconfig/dynconfig/core"
)

// RunLinearizable lets clients of two nodes, or of one where there is no Options.Peer, read and write a few keys at the
// same time, through the Engine, over bad lines and, with Options.Break, while the store's server is killed and started
// again. Each key's history must be linearizable; and watchers, who move from node to node meanwhile, must be told each
// version of each key exactly once, in order.
func RunLinearizable(t *testing.T, open Opener, o Options) {
	t.Run("histories are linearizable and watchers miss and repeat nothing", func(t *testing.T) {
		stress(t, newSubject(t, open, o))
	})
}

const (
	clients = 6
	each    = 30 // operations of a client in a round
	spread  = 3  // keys of a round
)

// stress goes round after round, each with keys of its own, so that histories stay short.
func stress(t testing.TB, s *subject) {
	c := &cluster{start: time.Now()}
	nodes := []*core.Backend{s.origin}
	if s.o.Peer != nil {
		nodes = append(nodes, s.another(t))
	}
	for _, b := range nodes {
		line := &flaky{Store: b.Store}
		node := *b
		node.Store = line
		c.lines = append(c.lines, line)
		c.engines = append(c.engines, startEngine(t, &node, 20*time.Millisecond))
	}
	var watchers []*follower
	for i := range 3 {
		watchers = append(watchers, follow(t, c.engines, i, i > 0))
	}
	rounds, operations := 0, 0
	defer func() { t.Logf("%d operations in %d rounds", operations, rounds) }()
	seeds(t, 4*time.Second, s.rounds(), func(round uint64) {
		history := c.round(t, s, round)
		rounds, operations = rounds+1, operations+len(history)
		judge(t, history)
		for _, w := range watchers {
			w.await(t, s.patience(), func() map[string]int64 { return c.versions(t, round) })
		}
	})
}

// cluster is the nodes and a clock.
type cluster struct {
	engines []*core.Engine
	lines   []*flaky
	start   time.Time
}

func (c *cluster) at() int64 { return int64(time.Since(c.start)) }

func keyOf(round uint64, i int) string { return fmt.Sprintf("stress.%d.%d", round, i) }

// round returns what its clients did and were told. The line is bad in every second one; with Break, the server is killed
// in the middle of each fourth.
func (c *cluster) round(t testing.TB, s *subject, round uint64) []porcupine.Operation {
	for _, line := range c.lines {
		line.bad.Store(round%2 == 0)
	}
	defer func() {
		for _, line := range c.lines {
			line.bad.Store(false)
		}
	}()
	var mu sync.Mutex
	var history []porcupine.Operation
	var wg sync.WaitGroup
	half := make(chan struct{})
	for i := range clients {
		wg.Go(func() {
			cl := &client{Rand: rand.New(rand.NewPCG(round, uint64(i))), cluster: c, engine: c.engines[i%len(c.engines)], seen: map[string]int64{}}
			for n := range each {
				if i == 0 && n == each/2 {
					close(half)
				}
				cl.impatient = round%3 == 0
				if op, ok := cl.act(t, round); ok {
					mu.Lock()
					op.ClientId = len(history)
					history = append(history, op)
					mu.Unlock()
				}
			}
		})
	}
	<-half
	if s.o.Break != nil && round%4 == 1 {
		s.shake(t)
	}
	wg.Wait()
	return history
}

// versions returns those of a round's keys, tombstones included, as the store has them.
func (c *cluster) versions(t testing.TB, round uint64) map[string]int64 {
	t.Helper()
	var keys []core.Key
	for i := range spread {
		keys = append(keys, core.MakeKey(core.DefaultEnv, core.KindKey, keyOf(round, i)))
	}
	versions := map[string]int64{}
	err := insist(t.Context(), func() error {
		page, err := c.lines[0].Get(t.Context(), keys, 0)
		for _, e := range page.Entries {
			_, _, name, _ := e.Key.Split()
			versions[name] = e.Version
		}
		return err
	})
	if err != nil {
		t.Fatalf("Get(%q): %v", keys, err)
	}
	return versions
}

// client does one thing after another.
type client struct {
	*rand.Rand
	cluster   *cluster
	engine    *core.Engine
	seen      map[string]int64 // the newest version that this node has shown, by key
	impatient bool             // gives up some calls soon
}

// act does something at random; ok is false if it says nothing about the store.
func (c *client) act(t testing.TB, round uint64) (op porcupine.Operation, ok bool) {
	a := action{key: keyOf(round, c.IntN(spread)), do: "put"}
	switch c.IntN(10) {
	case 0, 1, 2, 3:
		a.do = "get"
	case 4:
		a.do = "delete"
	case 5:
		c.glance(t, a.key)
	}
	if a.do != "get" {
		a.put = fmt.Sprint(c.Int64())
		switch c.IntN(4) {
		case 0:
			a.cond, a.on = "match", c.seen[a.key]
		case 1:
			if a.do == "put" {
				a.cond = "absent"
			}
		}
	}
	if a.do == "delete" {
		a.put = ""
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	if c.impatient && c.IntN(4) == 0 {
		ctx, cancel = context.WithTimeout(t.Context(), time.Duration(c.IntN(3000))*time.Microsecond)
	}
	defer cancel()
	op = porcupine.Operation{Input: a, Call: c.cluster.at(), Return: never}
	var o outcome
	if a.do == "get" {
		o = c.get(ctx, t, a)
	} else {
		o = c.write(ctx, t, a)
	}
	if o.kind != "unknown" {
		op.Return = c.cluster.at()
		c.seen[a.key] = max(c.seen[a.key], o.version)
	}
	op.Output = o
	return op, a.do != "get" || o.kind != "unknown"
}

func (c *client) get(ctx context.Context, t testing.TB, a action) outcome {
	item, err := c.engine.Get(ctx, tester, core.Read{Kind: core.KindKey, Name: a.key, Strong: true})
	if err != nil {
		return failure(t, a, err)
	}
	return outcome{kind: "done", version: item.Entry.Version, value: string(item.Entry.Doc.Value)}
}

func (c *client) write(ctx context.Context, t testing.TB, a action) outcome {
	w := write(a.key, a.put)
	if a.do == "delete" {
		w.Op, w.Value = core.WriteDelete, nil
	}
	switch a.cond {
	case "match":
		w.IfMatch = &core.Match{Versions: []int64{a.on}}
	case "absent":
		w.IfNone = &core.Match{Any: true}
	}
	res, err := c.engine.Write(ctx, tester, core.Request{Writes: []core.Write{w}})
	if err != nil {
		return failure(t, a, err)
	}
	return outcome{kind: "done", version: res.Written[0].Version, created: res.Written[0].Created}
}

// failure says what an error tells about the outcome.
func failure(t testing.TB, a action, err error) outcome {
	switch {
	case errors.Is(err, core.ErrNotFound):
		return outcome{kind: "absent"}
	case errors.Is(err, core.ErrPrecondition):
		return outcome{kind: "refused"}
	case errors.Is(err, core.ErrUnavailable), errors.Is(err, core.ErrConflict),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
	default:
		t.Errorf("%+v: %v", a, err)
	}
	return outcome{kind: "unknown"}
}

// glance reads without asking the store: the node must not be behind what it has shown before.
func (c *client) glance(t testing.TB, name string) {
	item, err := c.engine.Get(t.Context(), tester, core.Read{Kind: core.KindKey, Name: name})
	if err == nil && item.Entry.Version < c.seen[name] {
		t.Errorf("%s is at version %d on a node that has shown %d", name, item.Entry.Version, c.seen[name])
	}
}
