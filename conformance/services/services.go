// Package services starts real servers for tests, each in a process of its own that can be killed, paused and started
// again on what it left.
package services

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
)

// directory makes a directory whose path is short: that of a unix socket may have 108 bytes. It goes with the test.
func directory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// build builds a program of a module that go.mod names, once: later calls find it in the user's cache.
func build(t testing.TB, name, pkg string) string {
	t.Helper()
	dir, unlock := cached(t, name)
	defer unlock()
	program := filepath.Join(dir, name)
	if out, err := exec.Command("go", "build", "-o", program, pkg).CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", pkg, err, out)
	}
	return program
}

// cached returns a directory in the user's cache, and a lock on what stands there by a name: tests of several packages run
// at once.
func cached(t testing.TB, name string) (dir string, unlock func()) {
	t.Helper()
	dir = cache(t)
	lock, err := fileutil.LockFile(filepath.Join(dir, name+".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return dir, func() { _ = lock.Close() }
}

// cache is a directory in the user's cache.
func cache(t testing.TB) string {
	t.Helper()
	of, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(of, "dynconfig", "services")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// process is a server that runs until it is killed.
type process struct{ cmd *exec.Cmd }

// run starts a program whose output goes to a file.
func run(t testing.TB, log string, cmd *exec.Cmd) *process {
	t.Helper()
	out, err := os.OpenFile(log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &process{cmd: cmd}
}

// kill is kill -9, and waits for the end.
func (p *process) kill(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	_ = p.cmd.Wait() // says that it was killed
}

// resume lets a process go on that was stopped.
func (p *process) resume(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Error(err)
	}
}
