// Package e2e tries several servers as one: real processes on real shared services, each of which is killed, paused and cut
// off meanwhile.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/conformance"
)

// program is the command that is tried, built for this run.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "dynconfig-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "dynconfig")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/dynconfig/dynconfig/cmd/dynconfig").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return conformance.Leakless(m)
}

// budget is how long a test that may go on for ever does: as long as a soak lasts, or usual.
func budget(t *testing.T, usual time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(conformance.SoakVariable)
	if text == "" {
		return usual
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", conformance.SoakVariable, err)
	}
	return d
}

// patience is how long a test waits for what must happen, however busy the machine is.
const patience = 5 * time.Minute

// until asks again and again until there is no error.
func until(t testing.TB, what string, ask func() error) {
	t.Helper()
	end := time.Now().Add(patience)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
