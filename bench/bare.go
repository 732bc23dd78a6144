package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// bare is what DynConfig is measured against: handlers of the same libraries that do nothing but answer.
type bare struct {
	mu    sync.Mutex
	conns map[*websocket.Conn]struct{}
}

// serveBare runs the bare handlers until ctx ends.
func serveBare(ctx context.Context) error {
	b := &bare{conns: map[*websocket.Conn]struct{}{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /keys/{key}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"key":"bench.get","value":{"enabled":true,"percent":25},"version":1}`)
	})
	mux.HandleFunc("PUT /keys/{key}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"key":"bench.put","version":1,"lastModified":"2026-01-01T00:00:00.000000Z"}`)
	})
	mux.HandleFunc("GET /watch", b.watch)
	mux.HandleFunc("POST /broadcast", b.broadcast)
	return listenAndServe(ctx, mux)
}

// watch keeps a WebSocket, which its client only reads.
func (b *bare) watch(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	b.mu.Lock()
	b.conns[c] = struct{}{}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.conns, c)
		b.mu.Unlock()
		_ = c.CloseNow()
	}()
	for {
		if _, _, err := c.Read(r.Context()); err != nil {
			return
		}
	}
}

// broadcast sends the body to every WebSocket, each from a goroutine, so that none waits for another.
func (b *bare) broadcast(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	b.mu.Lock()
	for c := range b.conns {
		go func() { _ = c.Write(context.Background(), websocket.MessageText, text) }()
	}
	b.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// listenAndServe serves on a free port, whose address it prints.
func listenAndServe(ctx context.Context, h http.Handler) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = s.Close()
	}()
	fmt.Printf("http://%s\n", l.Addr())
	if err := s.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}
