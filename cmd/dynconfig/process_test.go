package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
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

// patient is how long a test waits for what must come, and its clients try again: longer than any server takes to start, also
// where many do so at once.
const patient = 5 * time.Minute

// await waits until something holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patient); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in vain waited: %s", what)
		}
	}
}

// clientOf returns a client that tries again soon.
func clientOf(t *testing.T, url, token string) *client.Client {
	t.Helper()
	c, err := client.New(url, client.Options{
		Token: client.StaticToken(token), Retry: patient, RetryDelay: 10 * time.Millisecond, HTTPClient: newHTTPClient(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
