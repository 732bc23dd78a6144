package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// crowd is many WebSocket clients of one server. Every value they are sent is the time at which it was sent off, in Unix
// nanoseconds.
type crowd struct {
	host  string
	conns []net.Conn
	wg    sync.WaitGroup

	mu     sync.Mutex
	took   []time.Duration
	wanted int
	all    chan struct{} // closed when wanted have come
	failed atomic.Pointer[error]
}

func newCrowd(host string) *crowd { return &crowd{host: host} }

// grow connects until there are n clients; query says what the i-th one watches.
func (c *crowd) grow(n int, token string, query func(i int) string) error {
	const at = 64 // connect at one time
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
		slots = make(chan struct{}, at)
	)
	for i := len(c.conns); i < n; i++ {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			conn, in, err := upgrade(c.host, token, query(i))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				first = err
				return
			}
			c.conns = append(c.conns, conn)
			c.wg.Go(func() { c.read(conn, in) })
		})
	}
	wg.Wait()
	return first
}

// upgrade opens a WebSocket by hand: a library's client would cost more than what is measured.
func upgrade(host, token, query string) (net.Conn, *bufio.Reader, error) {
	conn, err := net.Dial("tcp", host)
	if err != nil {
		return nil, nil, err
	}
	req := request("GET", host, "/watch"+query, token, "")
	req = append(req[:len(req)-2], "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"...)
	if _, err := conn.Write(req); err != nil {
		return nil, nil, err
	}
	in := bufio.NewReaderSize(conn, 512)
	line, err := in.ReadString('\n')
	if err == nil && !bytes.Contains([]byte(line), []byte(" 101 ")) {
		err = fmt.Errorf("upgrade answered %q", line)
	}
	for err == nil && line != "\r\n" {
		line, err = in.ReadString('\n')
	}
	return conn, in, err
}

// read takes frames until the connection ends: it answers pings, and notes how long values took.
func (c *crowd) read(conn net.Conn, in *bufio.Reader) {
	payload := make([]byte, 0, 512)
	for {
		head, err := in.Peek(2)
		if err != nil {
			return
		}
		opcode, n, size := head[0]&0xf, int(head[1]), 2
		if n == 126 {
			if head, err = in.Peek(4); err != nil {
				return
			}
			n, size = int(binary.BigEndian.Uint16(head[2:])), 4
		}
		if _, err := in.Discard(size); err != nil {
			return
		}
		payload = payload[:n]
		if _, err := io.ReadFull(in, payload); err != nil {
			return
		}
		switch opcode {
		case 0x8:
			err := fmt.Errorf("server closed: %q", payload)
			c.failed.Store(&err)
			return
		case 0x9:
			_, _ = conn.Write([]byte{0x8a, 0x80, 0, 0, 0, 0})
		case 0x1:
			c.heard(payload)
		}
	}
}

// heard notes a value.
func (c *crowd) heard(frame []byte) {
	now := time.Now()
	_, value, ok := bytes.Cut(frame, []byte(`"value":`))
	if !ok {
		return
	}
	end := bytes.IndexAny(value, ",}")
	sent, err := strconv.ParseInt(string(value[:max(end, 0)]), 10, 64)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.took = append(c.took, now.Sub(time.Unix(0, sent)))
	if len(c.took) == c.wanted {
		close(c.all)
	}
}

// round has one value sent to n of the crowd and returns how long it took to each.
func (c *crowd) round(ctx context.Context, n int, send func() error) ([]time.Duration, error) {
	c.mu.Lock()
	c.took, c.wanted, c.all = make([]time.Duration, 0, n), n, make(chan struct{})
	c.mu.Unlock()
	if err := send(); err != nil {
		return nil, err
	}
	select {
	case <-c.all:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(30 * time.Second):
		err := errors.New("a value did not reach all")
		if p := c.failed.Load(); p != nil {
			err = *p
		}
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.took, nil
}

func (c *crowd) close() {
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.wg.Wait()
}
