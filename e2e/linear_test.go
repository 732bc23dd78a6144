package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/conformance"
	"github.com/dynconfig/dynconfig/core"
)

func TestHistoriesOfThreeNodesAreLinearizableThoughNodesArePausedAndKilled(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, newBackend(t).env, "--rate-limit", "0")
	h := &historian{cluster: c, begin: time.Now()}
	rounds, operations := 0, 0
	for end := time.Now().Add(budget(t, 10*time.Second)); rounds < 3 || time.Now().Before(end); rounds++ {
		history := h.round(t, rounds)
		conformance.Judge(t, history)
		if operations += len(history); t.Failed() {
			break
		}
	}
	t.Logf("%d operations in %d rounds", operations, rounds)
}

// historian notes what clients did and were told.
type historian struct {
	*cluster
	begin time.Time
}

const (
	askers    = 6
	questions = 25 // of an asker in a round
	subjects  = 3  // keys of a round
)

// round has every client do one thing after another, on a node of its own, with keys of this round. Meanwhile one node is
// paused, and another killed and started again.
func (h *historian) round(t *testing.T, round int) []conformance.Observation {
	t.Helper()
	var mu sync.Mutex
	var history []conformance.Observation
	var asking sync.WaitGroup
	var begun sync.WaitGroup
	for i := range askers {
		begun.Add(1)
		node := h.nodes[i%len(h.nodes)]
		asker := &asker{
			Client: h.once(t, h.only(t, node)), Rand: rand.New(rand.NewPCG(uint64(round), uint64(i))),
			begin: h.begin, seen: map[string]int64{},
		}
		asking.Go(func() {
			for n := 0; n < questions; {
				if node.address() == "" { // few unknown outcomes are easier to judge than many
					time.Sleep(10 * time.Millisecond)
					continue
				}
				if n++; n == questions/5 {
					begun.Done()
				}
				if seen, ok := asker.act(t, fmt.Sprintf("linear.%d.%d", round, asker.IntN(subjects))); ok {
					mu.Lock()
					history = append(history, seen)
					mu.Unlock()
				}
			}
		})
	}
	begun.Wait()
	paused, killed := h.nodes[round%len(h.nodes)], h.nodes[(round+1)%len(h.nodes)]
	paused.pause(t)
	killed.kill()
	killed.start(t) // which takes a while
	paused.resume(t)
	asking.Wait()
	return history
}

// asker is a client that does one thing after another.
type asker struct {
	*client.Client
	*rand.Rand
	begin time.Time
	seen  map[string]int64
}

// act does something at random to a key; ok is false if the answer says nothing.
func (a *asker) act(t *testing.T, key string) (seen conformance.Observation, ok bool) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	if a.IntN(8) == 0 {
		ctx, cancel = context.WithTimeout(t.Context(), time.Duration(a.IntN(20))*time.Millisecond)
	}
	defer cancel()
	seen = conformance.Observation{Key: key, Do: []string{"get", "get", "put", "put", "put", "delete"}[a.IntN(6)]}
	var o client.WriteOptions
	if seen.Do != "get" && a.IntN(3) == 0 {
		o.IfVersion = a.seen[key]
	} else if seen.Do == "put" && a.IntN(3) == 0 {
		o.IfAbsent = true
	}
	seen.IfMatch, seen.IfAbsent = o.IfVersion, o.IfAbsent
	seen.Call = time.Since(a.begin)
	var err error
	switch seen.Do {
	case "get":
		var item client.Item
		item, err = a.Get(ctx, key, client.GetOptions{Strong: true})
		seen.Value, seen.Version = string(item.Value), item.Version
	case "put":
		seen.Value = fmt.Sprint(a.Int64())
		var written client.Written
		written, err = a.Put(ctx, key, json.RawMessage(seen.Value), o)
		seen.Version, seen.Created = written.Version, written.Created
	case "delete":
		_, err = a.Delete(ctx, key, client.DeleteOptions{IfVersion: o.IfVersion})
	}
	seen.Return = time.Since(a.begin)
	switch {
	case err == nil:
		seen.Told = "done"
		a.seen[key] = max(a.seen[key], seen.Version)
	case errors.Is(err, core.ErrNotFound):
		seen.Told = "absent"
	case errors.Is(err, core.ErrPrecondition):
		seen.Told = "refused"
	default:
		seen.Told = "unknown"
		if !errors.Is(err, core.ErrUnavailable) && !errors.Is(err, core.ErrConflict) && ctx.Err() == nil {
			t.Errorf("%s of %s: %v", seen.Do, key, err)
		}
	}
	return seen, seen.Do != "get" || seen.Told != "unknown"
}
