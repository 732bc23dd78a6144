package e2e

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/core"
)

// crowd is watchers of every change, who complain of a version that is missing, comes twice or comes out of order.
type crowd struct{ watchers []*watcher }

type watcher struct {
	name string

	mu    sync.Mutex
	at    map[string]int64  // the version that was heard last, by key
	held  map[string]string // the value; gone with a delete
	moved int               // to how many connections
	fault error
}

// watch begins n watchers of a pattern after a revision; h is how the i-th of them connects. They end with the test.
func (c *cluster) watch(t *testing.T, n int, pattern, after string, h func(i int) *http.Client) *crowd {
	t.Helper()
	crowd := &crowd{}
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	t.Cleanup(func() { cancel(); watching.Wait() })
	for i := range n {
		w := &watcher{name: fmt.Sprint("watcher ", i), at: map[string]int64{}, held: map[string]string{}}
		crowd.watchers = append(crowd.watchers, w)
		cl := c.client(t, h(i))
		watching.Go(func() {
			o := client.WatchOptions{Patterns: []string{pattern}, SinceRevision: after, Every: true}
			for e, err := range cl.Watch(ctx, o) {
				if ctx.Err() != nil || !w.hear(e, err) {
					return
				}
			}
		})
	}
	return crowd
}

// hear takes an event in, and returns false after a complaint.
func (w *watcher) hear(e client.Event, err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil:
		w.fault = err
	case e.Event == client.Bookmark:
		if e.Synced {
			w.moved++
		}
	case e.Event != client.Update && e.Event != client.Delete && e.Event != client.Expired || e.Snapshot || e.Conflated:
		w.fault = fmt.Errorf("was told %q of %q at %s", e.Event, e.Key, e.Revision)
	case e.Version != w.at[e.Key]+1:
		w.fault = fmt.Errorf("was told version %d of %s after version %d, at %s", e.Version, e.Key, w.at[e.Key], e.Revision)
	default:
		w.at[e.Key] = e.Version
		w.held[e.Key] = string(e.Value)
		if e.Event != client.Update {
			delete(w.held, e.Key)
		}
	}
	return w.fault == nil
}

// await waits until every watcher has heard the versions of want, and nothing else.
func (c *crowd) await(t *testing.T, want map[string]int64) {
	t.Helper()
	for _, w := range c.watchers {
		until(t, w.name, func() error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.fault != nil {
				t.Fatalf("%s: %v", w.name, w.fault)
			}
			if !maps.Equal(w.at, want) {
				return fmt.Errorf("heard %v, want %v", w.at, want)
			}
			return nil
		})
	}
}

// agree fails unless all watchers hold the same.
func (c *crowd) agree(t *testing.T) {
	t.Helper()
	first := c.watchers[0].held
	for _, w := range c.watchers {
		if !maps.Equal(w.held, first) {
			t.Fatalf("%s holds %v, %s %v", w.name, w.held, c.watchers[0].name, first)
		}
	}
}

// connected waits until every watcher follows, and forgets how it came to that.
func (c *crowd) connected(t *testing.T) {
	t.Helper()
	for _, w := range c.watchers {
		until(t, w.name, func() error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.moved == 0 {
				return errors.New("does not follow yet")
			}
			w.moved = 1
			return nil
		})
	}
}

// reconnected counts the connections of all watchers after those that they had when they were connected.
func (c *crowd) reconnected() (n int) {
	for _, w := range c.watchers {
		w.mu.Lock()
		n += max(0, w.moved-1)
		w.mu.Unlock()
	}
	return n
}

// leastTime is what a server takes before it gives up a write.
const leastTime = 2 * time.Second

// once writes a value by a client that tries once, and says the same again only if the server took all its time: then it
// is the machine that is slow.
func once(t *testing.T, cl *client.Client, key string, value any) (written client.Written, err error) {
	t.Helper()
	o := client.WriteOptions{IdempotencyKey: rand.Text()}
	for end := time.Now().Add(patience); ; {
		begin := time.Now()
		written, err = cl.Put(t.Context(), key, value, o)
		if !errors.Is(err, core.ErrUnavailable) || time.Since(begin) < leastTime || time.Now().After(end) {
			return written, err
		}
	}
}

// put writes a number.
func put(ctx context.Context, cl *client.Client, key string, n int) (client.Written, error) {
	return cl.Put(ctx, key, json.RawMessage(fmt.Sprint(n)), client.WriteOptions{})
}
