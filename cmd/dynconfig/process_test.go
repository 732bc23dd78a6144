package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/client"
)

// process is `dynconfig serve` as a child.
type process struct {
	URL    string
	cmd    *exec.Cmd
	log    bytes.Buffer // once it has ended
	logged chan struct{}
}

// command returns the program, ready to be started in dir, with nothing set but what args say.
func command(dir string, args ...string) *exec.Cmd {
	c := exec.Command("dynconfig", args...)
	c.Dir = dir
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, variablePrefix) {
			c.Env = append(c.Env, variable)
		}
	}
	return c
}

// startProcess starts a server on the data in dir/data and waits until it serves.
func startProcess(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	return startCommand(t, command(dir, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...))
}

func startCommand(t *testing.T, c *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: c, logged: make(chan struct{})}
	pipe, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	serving := make(chan string, 1)
	go func() {
		defer close(p.logged)
		defer close(serving)
		lines := bufio.NewScanner(io.TeeReader(pipe, &p.log))
		for lines.Scan() {
			var line struct{ URL string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.URL != "" {
				serving <- line.URL
			}
		}
	}()
	var ok bool
	if p.URL, ok = <-serving; !ok {
		t.Fatalf("the server did not start: %s", p.log.String())
	}
	return p
}

// end sends a signal, waits, and returns the exit code: -1 after SIGKILL.
func (p *process) end(s os.Signal) int {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Signal(s)
		<-p.logged
		_ = p.cmd.Wait()
	}
	return p.cmd.ProcessState.ExitCode()
}

// relay forwards connections of an address that stays to one that changes, as a load balancer does. While there is no
// target, connections are closed at once.
type relay struct {
	URL string
	l   net.Listener

	mu     sync.Mutex
	target string
	open   map[net.Conn]bool
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

func (r *relay) forward(in net.Conn) {
	defer in.Close()
	r.mu.Lock()
	target := r.target
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
	for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
		pipes.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			_ = in.Close()
			_ = out.Close()
		})
	}
	pipes.Wait()
	r.mu.Lock()
	delete(r.open, in)
	r.mu.Unlock()
}

// tokenOf returns a token signed with the key of the data directory in dir.
func tokenOf(t *testing.T, dir, user string) string {
	t.Helper()
	out, err := command(dir, "token", "--user", user).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("token: %s", exit.Stderr)
		}
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// clientOf returns a client that tries again soon.
func clientOf(t *testing.T, url, token string) *client.Client {
	t.Helper()
	c, err := client.New(url, client.Options{
		Token: client.StaticToken(token), Retry: time.Minute, RetryDelay: 10 * time.Millisecond, HTTPClient: newHTTPClient(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
