package main

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// relay forwards connections of an address that stays to one that changes, as a load balancer does. While there is no
// target, connections are closed at once.
type relay struct {
	URL string
	l   net.Listener

	mu     sync.Mutex
	target string
	open   map[net.Conn]bool
	gate   *gate // for what goes to the target; nil: there is none
	wg     sync.WaitGroup
}

func newRelay(t *testing.T) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{URL: "http://" + l.Addr().String(), l: l, open: map[net.Conn]bool{}}
	r.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.wg.Go(func() { r.forward(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		r.mu.Lock()
		for c := range r.open {
			_ = c.Close()
		}
		r.mu.Unlock()
		r.wg.Wait()
	})
	return r
}

// to sets the target, a URL or the path of a socket.
func (r *relay) to(target string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.target = strings.TrimPrefix(target, "http://")
}

// hold lets n bytes pass to the target on connections to come, closes shut, and keeps what follows back, until lift drops it.
func (r *relay) hold(t *testing.T, n int64) (shut <-chan struct{}, lift func()) {
	t.Helper()
	g := &gate{left: n, shut: make(chan struct{}), lifted: make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gate = g
	lift = sync.OnceFunc(func() {
		r.mu.Lock()
		r.gate = nil
		r.mu.Unlock()
		close(g.lifted)
	})
	t.Cleanup(lift)
	return g.shut, lift
}

func (r *relay) forward(in net.Conn) {
	defer in.Close()
	r.mu.Lock()
	target, gate := r.target, r.gate
	r.mu.Unlock()
	network := "tcp"
	if strings.HasPrefix(target, "/") {
		network = "unix"
	}
	out, err := net.Dial(network, target)
	if err != nil {
		return
	}
	defer out.Close()
	r.mu.Lock()
	r.open[in] = true
	r.mu.Unlock()
	var pipes sync.WaitGroup
	for _, pair := range []struct {
		to   io.Writer
		from io.Reader
	}{{in, out}, {gated{out, gate}, in}} {
		pipes.Go(func() {
			_, _ = io.Copy(pair.to, pair.from)
			_ = in.Close()
			_ = out.Close()
		})
	}
	pipes.Wait()
	r.mu.Lock()
	delete(r.open, in)
	r.mu.Unlock()
}

// gate lets so many bytes pass.
type gate struct {
	shut   chan struct{} // closed when they have
	lifted chan struct{} // closed when what is kept back may go lost

	mu   sync.Mutex
	left int64
}

// gated writes through a gate, if there is one.
type gated struct {
	io.Writer
	*gate
}

var errKept = errors.New("kept back at a gate")

func (g gated) Write(p []byte) (int, error) {
	if g.gate == nil {
		return g.Writer.Write(p)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(g.left, int64(len(p)))
	written, err := g.Writer.Write(p[:n])
	if g.left -= n; n > 0 && g.left == 0 {
		close(g.shut)
	}
	if err != nil || written == len(p) {
		return written, err
	}
	<-g.lifted
	return written, errKept
}
