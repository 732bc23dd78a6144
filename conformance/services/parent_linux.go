package services

import (
	"os/exec"
	"syscall"
)

// dieWithParent ends the process with the test, also when the test is killed.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
