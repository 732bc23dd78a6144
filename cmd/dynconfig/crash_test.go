package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/client"
)

// budget is how long a test with a time budget goes on: DYNCONFIG_SOAK, or a few seconds.
func budget(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("DYNCONFIG_SOAK")
	if text == "" {
		return 5 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("DYNCONFIG_SOAK: %v", err)
	}
	return d
}

func contextWithError(t *testing.T) (context.Context, context.CancelCauseFunc) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	return ctx, cancel
}

const lastKey = "load.last"

// story is what a watcher heard of each key: the value at each version, from 1 on.
type story map[string][]string

// follow hears everything until lastKey, and complains of a version that is missing or comes twice.
func follow(ctx context.Context, c *client.Client, revision string) (story, error) {
	heard := story{}
	o := client.WatchOptions{Patterns: []string{"load.*"}, SinceRevision: revision, Every: true}
	for e, err := range c.Watch(ctx, o) {
		switch {
		case err != nil:
			return heard, err
		case e.Event == client.Bookmark:
		case e.Event != client.Update || e.Version != int64(len(heard[e.Key]))+1:
			return heard, fmt.Errorf("%s of %s at version %d follows version %d", e.Event, e.Key, e.Version, len(heard[e.Key]))
		case e.Key == lastKey:
			return heard, nil
		default:
			heard[e.Key] = append(heard[e.Key], string(e.Value))
		}
	}
	return heard, nil
}

// acknowledged is a write that the server said it had made.
type acknowledged struct {
	key, value string
	version    int64
}

func TestKill9UnderLoadLosesNothingAndNoWatcherMissesOrRepeats(t *testing.T) {
	onEachStore(t, killUnderLoad)
}

func killUnderLoad(t *testing.T, flags ...string) {
	dir := t.TempDir()
	flags = append(flags, "--rate-limit", "0")
	front := newRelay(t)
	server := startProcess(t, dir, flags...)
	front.to(server.URL)
	token := tokenOf(t, dir, "admin-user")
	c := clientOf(t, front.URL, token)
	start, err := c.Put(t.Context(), "start", 1, client.WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}

	const watchers, writers, keys = 3, 8, 5
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var watching, writing sync.WaitGroup
	stories := make([]story, watchers)
	for i := range watchers {
		watching.Go(func() {
			var err error
			if stories[i], err = follow(t.Context(), clientOf(t, front.URL, token), start.Revision); err != nil {
				t.Errorf("watcher %d: %v", i, err)
			}
		})
	}
	writes := make([][]acknowledged, writers)
	for w := range writers {
		writing.Go(func() {
			c := clientOf(t, front.URL, token)
			for n := 0; ctx.Err() == nil; n++ {
				key, value := fmt.Sprintf("load.%d", (n+w)%keys), strconv.Itoa(n*writers+w)
				written, err := c.Put(t.Context(), key, json.RawMessage(value), client.WriteOptions{})
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				writes[w] = append(writes[w], acknowledged{key, value, written.Version})
			}
		})
	}

	rounds := 0
	for until := time.Now().Add(budget(t)); rounds < 3 || time.Now().Before(until); rounds++ {
		count(t, c, 100) // so many writes at least between one kill and the next
		front.to("")     // another server may get its port
		server.end(syscall.SIGKILL)
		server = startProcess(t, dir, flags...)
		front.to(server.URL)
	}
	stop()
	writing.Wait()
	if _, err := c.Put(t.Context(), lastKey, 1, client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	watching.Wait()

	total := 0
	for _, written := range writes {
		total += len(written)
		for _, a := range written {
			for i, heard := range stories {
				if int64(len(heard[a.key])) < a.version || heard[a.key][a.version-1] != a.value {
					t.Errorf("watcher %d did not hear that %s became %s at version %d", i, a.key, a.value, a.version)
				}
			}
		}
	}
	for k := range keys {
		key := fmt.Sprintf("load.%d", k)
		item, err := c.Get(t.Context(), key, client.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for i, heard := range stories {
			if n := len(heard[key]); int64(n) != item.Version || heard[key][n-1] != string(item.Value) {
				t.Errorf("%s is %s at version %d; watcher %d heard %d versions", key, item.Value, item.Version, i, n)
			}
		}
	}
	t.Logf("%d acknowledged writes, %d kills", total, rounds)
}

// count waits for n more commits.
func count(t *testing.T, c *client.Client, n int) {
	t.Helper()
	now, err := c.Put(t.Context(), "counted", 1, client.WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for e, err := range c.Watch(t.Context(), client.WatchOptions{Patterns: []string{"load.*"}, SinceRevision: now.Revision}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Event == client.Update {
			n--
		}
		if n <= 0 {
			return
		}
	}
}
