package services

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Stop stops a process where it stands, until SIGCONT, and returns when it stands still. SIGSTOP alone does not: its
// threads go on for a while, one that writes to a disk until that is done, and may answer a call or two. Where there is no
// /proc nothing is waited for.
func Stop(t testing.TB, p *os.Process) {
	t.Helper()
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Error(err)
	}
	standsStill(t, p.Pid)
}

// standsStill waits until all threads of a process are stopped, or gone.
func standsStill(t testing.TB, pid int) {
	t.Helper()
	until(t, "a process does not stop", func(context.Context) (err error) {
		threads, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/[0-9]*/stat") // the pattern is well-formed
		for _, name := range threads {
			err = errors.Join(err, inState(name, "T", "Z", "X"))
		}
		return err
	})
}

// children lists the processes that a process has started, on systems that have /proc.
func children(parent int) (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well-formed
	for _, name := range stats {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if _, of := stat(name); err == nil && of == strconv.Itoa(parent) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// ofProcess names the file that says how a process is.
func ofProcess(pid int) string { return "/proc/" + strconv.Itoa(pid) + "/stat" }

// stat returns the state of a process or a thread and its parent, empty where there is no such file.
func stat(name string) (state, parent string) {
	text, _ := os.ReadFile(name)
	line := string(text)
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:]) // what follows the program's name
	if len(fields) > 1 {
		return fields[0], fields[1]
	}
	return "", ""
}

// inState returns an error unless a process or a thread is in one of some states or gone.
func inState(name string, states ...string) error {
	if state, _ := stat(name); state != "" && !slices.Contains(states, state) {
		return fmt.Errorf("%s is in state %s", name, state)
	}
	return nil
}
