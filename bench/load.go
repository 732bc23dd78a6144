package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"sync"
	"time"
)

// requester is one keep-alive connection that sends prepared requests. It is much lighter than net/http's client, so that
// on a machine shared by both sides the server is what is measured.
type requester struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(host string) (*requester, error) {
	c, err := net.Dial("tcp", host)
	if err != nil {
		return nil, err
	}
	return &requester{conn: c, in: bufio.NewReader(c)}, nil
}

// request writes one as it goes over the wire.
func request(method, host, path, token, body string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, host)
	if token != "" {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", token)
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n" + body)
	return b.Bytes()
}

// do sends a request and reads its answer, whose status must be a success.
func (r *requester) do(req []byte) error {
	if _, err := r.conn.Write(req); err != nil {
		return err
	}
	line, err := r.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if len(line) < 12 || line[9] != '2' {
		rest, _ := r.in.Peek(r.in.Buffered())
		return fmt.Errorf("answered %s %s", bytes.TrimSpace(line), rest)
	}
	length := 0
	for {
		line, err := r.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if textproto.CanonicalMIMEHeaderKey(string(name)) == "Content-Length" {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
		if bytes.EqualFold(name, []byte("Transfer-Encoding")) {
			return errors.New("answered in chunks, which this client does not read")
		}
	}
	_, err = io.CopyN(io.Discard, r.in, int64(length))
	return err
}

// side is one of the two that take turns.
type side struct {
	host string
	make func(worker int) []byte // the request of a worker
}

// turns loads two sides one after the other, several times, with so many workers each.
func turns(ctx context.Context, p plan, workers int, ours, other side) (a, b sample, err error) {
	for i := range p.turns + 1 {
		for _, s := range []struct {
			side side
			into *sample
		}{{ours, &a}, {other, &b}} {
			got, err := load(ctx, p.slice, workers, s.side)
			if err != nil {
				return a, b, err
			}
			if i > 0 { // the first turn warms up
				s.into.add(got)
			}
		}
	}
	return a, b, nil
}

// load sends requests for a while.
func load(ctx context.Context, during time.Duration, workers int, s side) (sample, error) {
	var (
		mu    sync.Mutex
		total sample
		first error
		wg    sync.WaitGroup
	)
	begin := time.Now()
	for w := range workers {
		wg.Go(func() {
			took, err := work(ctx, begin.Add(during), s.host, s.make(w))
			mu.Lock()
			defer mu.Unlock()
			total.took = append(total.took, took...)
			if err != nil && first == nil {
				first = err
			}
		})
	}
	wg.Wait()
	total.over = time.Since(begin)
	return total, first
}

func work(ctx context.Context, until time.Time, host string, req []byte) ([]time.Duration, error) {
	r, err := dial(host)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.conn.Close() }()
	var took []time.Duration
	for t := time.Now(); t.Before(until); {
		if err := r.do(req); err != nil {
			return took, err
		}
		now := time.Now()
		took = append(took, now.Sub(t))
		t = now
		if ctx.Err() != nil {
			return took, ctx.Err()
		}
	}
	return took, nil
}
