package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// child is a server in a process of its own.
type child struct {
	name string
	url  string // http://host:port
	cmd  *exec.Cmd
}

// start runs a program and waits for the line of its output that tells its address.
func start(name string, address *regexp.Regexp, program string, args ...string) (*child, error) {
	c := &child{name: name, cmd: exec.Command(program, args...)}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it does not outlive us
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c.cmd.Stdout, c.cmd.Stderr = in, in
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	_ = in.Close()
	lines := bufio.NewReader(out)
	var said strings.Builder
	for {
		line, err := lines.ReadString('\n')
		if m := address.FindString(line); m != "" {
			c.url = m
			go func() { _, _ = io.Copy(io.Discard, lines) }()
			return c, nil
		}
		said.WriteString(line)
		if err != nil {
			_ = c.cmd.Wait()
			return nil, fmt.Errorf("%s did not start: %s", name, strings.TrimSpace(said.String()))
		}
	}
}

func (c *child) stop() {
	if c == nil {
		return
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	_ = c.cmd.Wait()
}

// host is the address without the scheme.
func (c *child) host() string { return strings.TrimPrefix(c.url, "http://") }

// resident is how many bytes of memory the process holds.
func (c *child) resident() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("no VmRSS of a process")
}

// spent is the processor time that the process has taken.
func (c *child) spent() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	f := strings.Fields(after)
	if len(f) < 13 {
		return 0, errors.New("no times of a process")
	}
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	const tick = 10 * time.Millisecond // USER_HZ is 100 wherever Go runs on Linux
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

// servers are those that rows are measured against each other on. Each is started when first asked for.
type servers struct {
	dir        string
	ours, bare *child
	etcd       *child
	binary     string
}

var (
	plainURL = regexp.MustCompile(`^http://[^\s]+`)
	ourURL   = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
)

func (s *servers) close() {
	for _, c := range []*child{s.ours, s.bare, s.etcd} {
		c.stop()
	}
}

// build compiles the real command.
func (s *servers) build(ctx context.Context) error {
	s.binary = filepath.Join(s.dir, "dynconfig")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", s.binary, "github.com/dynconfig/dynconfig/cmd/dynconfig").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	return nil
}

// startOurs starts DynConfig as it is shipped, but for the rate limit.
func (s *servers) startOurs() (err error) {
	s.ours, err = start("dynconfig", ourURL, s.binary, "serve",
		"--listen", "127.0.0.1:0", "--data-dir", filepath.Join(s.dir, "data"), "--rate-limit", "0", "--log-format", "json")
	return err
}

func (s *servers) startBare() (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	s.bare, err = start("bare", plainURL, self, "-serve", "bare")
	return err
}

func (s *servers) startEtcd() (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	s.etcd, err = start("etcd", plainURL, self, "-serve", "etcd", "-dir", filepath.Join(s.dir, "etcd"))
	return err
}

// token signs one for a user.
func (s *servers) token(user string) (string, error) {
	out, err := exec.Command(s.binary, "token", "--user", user, "--data-dir", filepath.Join(s.dir, "data")).Output()
	if err != nil {
		return "", fmt.Errorf("dynconfig token: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
