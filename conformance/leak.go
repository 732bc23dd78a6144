package conformance

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// leak says which goroutines have been left for good. goleak alone waits half a second, in which those that are about to
// end need not have had a turn on a busy machine.
func leak(options ...goleak.Option) error {
	for end := time.Now().Add(patience); ; {
		err := goleak.Find(options...)
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// VerifyMain runs the tests of a package, and then fails if a goroutine is left: it is for TestMain.
func VerifyMain(m *testing.M, options ...goleak.Option) { os.Exit(Leakless(m, options...)) }

// Leakless runs m, a *testing.M, and returns its exit code, or 1 if it succeeds and a goroutine is left: it is for a TestMain
// that has more to do.
func Leakless(m interface{ Run() int }, options ...goleak.Option) int {
	code := m.Run()
	if code == 0 {
		if err := leak(options...); err != nil {
			fmt.Fprintln(os.Stderr, "a goroutine is left:", err)
			return 1
		}
	}
	return code
}
