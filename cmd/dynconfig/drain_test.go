package main

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/wire"
)

// errEnough ends a watch that has heard what it wanted.
var errEnough = errors.New("enough")

func TestSIGTERMDrainsAndExitsWithZero(t *testing.T) {
	onEachStore(t, drainOnSIGTERM)
}

func drainOnSIGTERM(t *testing.T, flags ...string) {
	dir := t.TempDir()
	flags = append(flags, "--rate-limit", "0") // or the writers would be refused before the server ends, some before they begin
	server := startProcess(t, dir, flags...)
	c := clientOf(t, server.URL, tokenOf(t, dir, "admin-user"))
	if _, err := c.Put(t.Context(), "app.a", 1, client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}

	// a watcher, a reader who waits for a change, and writers
	following, told := make(chan struct{}), make(chan error, 1)
	go func() {
		o := client.WatchOptions{Patterns: []string{"app.*"}, Snapshot: true}
		ctx, cancel := contextWithError(t)
		o.Lost = func(err error, _ time.Duration) { told <- err; cancel(errEnough) }
		for e, err := range c.Watch(ctx, o) {
			if err == nil && e.Synced {
				close(following)
			}
		}
	}()
	<-following
	once, err := client.New(server.URL, client.Options{Token: client.StaticToken(tokenOf(t, dir, "admin-user")), Retry: -1, HTTPClient: newHTTPClient(t)})
	if err != nil {
		t.Fatal(err)
	}
	one, held := int64(1), make(chan error, 1)
	go func() {
		_, err := once.Get(t.Context(), "app.a", client.GetOptions{SinceVersion: &one, Wait: time.Minute})
		held <- err
	}()
	const writers = 8
	last, begun := make(chan map[string]int64, writers), make(chan struct{}, writers)
	for w := range writers {
		go func() {
			acknowledged, key := map[string]int64{}, fmt.Sprintf("load.%d", w)
			written, err := c.Put(t.Context(), key, 1, client.WriteOptions{})
			if err != nil {
				t.Errorf("writer %d: %v", w, err)
			}
			for begun <- struct{}{}; err == nil; written, err = once.Put(t.Context(), key, 1, client.WriteOptions{}) {
				acknowledged[key] = written.Version
			}
			last <- acknowledged
		}()
	}
	for range writers {
		<-begun
	}

	if code := server.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0: %s", code, server.log.String())
	}
	var closed websocket.CloseError
	if err := <-told; !errors.As(err, &closed) || closed.Code != wire.CloseGoingAway {
		t.Errorf("the watcher was told %v, want 1001", err)
	}
	if err := <-held; err == nil {
		t.Error("the held read was answered although nothing changed")
	}
	server = startProcess(t, dir, flags...)
	c = clientOf(t, server.URL, tokenOf(t, dir, "admin-user"))
	for range writers {
		for key, version := range <-last {
			item, err := c.Get(t.Context(), key, client.GetOptions{})
			if err != nil || item.Version < version {
				t.Errorf("%s is at version %d, %v; %d was acknowledged", key, item.Version, err, version)
			}
		}
	}
}
