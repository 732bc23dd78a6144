package services

import (
	"os/exec"
	"testing"
)

var _ server = (*program)(nil)

// program is a server that is a process of this machine.
type program struct {
	command func() *exec.Cmd
	log     string
	process *process // nil where it does not run
}

func (p *program) start(t testing.TB) { t.Helper(); p.process = run(t, p.log, p.command()) }

func (p *program) kill(t testing.TB) {
	t.Helper()
	if p.process != nil {
		p.process.kill(t)
		p.process = nil
	}
}

func (p *program) pause(t testing.TB)  { t.Helper(); Stop(t, p.process.cmd.Process) }
func (p *program) resume(t testing.TB) { t.Helper(); p.process.resume(t) }
