package e2e

import (
	"bytes"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/conformance/services"
)

// line is a TCP address that leads to a service, and that can be cut, stopped, slowed, and made to lose answers. Nobody else
// is given the address while it refuses connections.
type line struct {
	Addr string
	dial func() (net.Conn, error)
	wg   sync.WaitGroup
	lost atomic.Int64 // answers

	mu     sync.Mutex
	l      net.Listener // nil: connections are refused
	open   map[net.Conn]bool
	flows  chan struct{} // closed while bytes flow
	delay  time.Duration
	marker []byte // the answer to a request that holds it is lost
	losses int    // so many times
}

// newLine leads to a unix socket or a TCP address.
func newLine(t *testing.T, address string) *line {
	t.Helper()
	network := "tcp"
	if filepath.IsAbs(address) {
		network = "unix"
	}
	l := &line{
		dial: func() (net.Conn, error) { return net.Dial(network, address) },
		open: map[net.Conn]bool{}, flows: make(chan struct{}), Addr: net.JoinHostPort("127.0.0.1", services.FreePort(t)),
	}
	close(l.flows)
	l.Mend(t)
	t.Cleanup(func() {
		l.Resume()
		l.Cut()
		l.wg.Wait()
	})
	return l
}

// Cut ends every connection and refuses new ones, until Mend.
func (l *line) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.l != nil {
		_ = l.l.Close()
		l.l = nil
	}
	for c := range l.open {
		_ = c.Close()
	}
}

// Mend takes connections again.
func (l *line) Mend(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", l.Addr)
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.l = listener
	l.wg.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			l.wg.Go(func() { l.serve(c) })
		}
	})
}

// Stop lets no byte through, in either direction, until Resume: as a network does that loses every packet.
func (l *line) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flows = make(chan struct{})
}

// Resume lets bytes through.
func (l *line) Resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.flows:
	default:
		close(l.flows)
	}
}

// Slow delays everything.
func (l *line) Slow(by time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = by
}

// LoseAnswers ends a connection when the service answers a request that held the marker, so many times; the answer is lost.
func (l *line) LoseAnswers(marker string, times int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.marker, l.losses = []byte(marker), times
}

// loses reports whether the answer to a request is to be lost.
func (l *line) loses(request []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.losses == 0 || !bytes.Contains(request, l.marker) {
		return false
	}
	l.losses--
	l.lost.Add(1)
	return true
}

// pass waits until bytes may flow.
func (l *line) pass() {
	l.mu.Lock()
	flows, delay := l.flows, l.delay
	l.mu.Unlock()
	<-flows
	time.Sleep(delay)
}

func (l *line) serve(client net.Conn) {
	server, err := l.dial()
	if err != nil {
		_ = client.Close()
		return
	}
	l.mu.Lock()
	if l.l == nil {
		_ = client.Close()
	}
	l.open[client] = true
	l.mu.Unlock()
	var doomed atomic.Bool
	var pumps sync.WaitGroup
	both := func() { _, _ = client.Close(), server.Close() }
	pumps.Go(func() {
		defer both()
		pump(server, client, func(chunk []byte) bool {
			l.pass()
			if l.loses(chunk) {
				doomed.Store(true)
			}
			return true
		})
	})
	pumps.Go(func() {
		defer both()
		pump(client, server, func([]byte) bool {
			l.pass()
			return !doomed.Load()
		})
	})
	pumps.Wait()
	l.mu.Lock()
	delete(l.open, client)
	l.mu.Unlock()
}

// pump copies what goes, chunk by chunk.
func pump(to, from net.Conn, goes func(chunk []byte) bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !goes(buffer[:n]) || err != nil {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}
