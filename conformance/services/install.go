package services

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// installed returns the path of a program of this machine, and installs the Debian package that has it where it is missing
// and may be installed. Its own service is not started.
func installed(t testing.TB, program, pkg string) string {
	t.Helper()
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		t.Fatalf("%s is missing: install %s (Debian: apt-get install %s)", program, program, pkg)
	}
	_, unlock := cached(t, "apt") // tests of several packages may want something at once
	defer unlock()
	for _, args := range [][]string{{"update", "-qq"}, {"install", "-y", "-qq", "--no-install-recommends", pkg}} {
		cmd := exec.Command("apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s is missing, and apt-get %s: %v\n%s", program, strings.Join(args, " "), err, out)
		}
	}
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%s is missing, also after apt-get install %s", program, pkg)
	}
	return path
}
