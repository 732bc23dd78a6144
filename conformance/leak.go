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
func VerifyMain(m *testing.M, options ...goleak.Option) {
	code := m.Run()
	if code == 0 {
		if err := leak(options...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
