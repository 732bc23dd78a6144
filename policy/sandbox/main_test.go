package sandbox_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/dynconfig/dynconfig/conformance"
	"github.com/dynconfig/dynconfig/policy/sandbox"
)

// TestMain makes this program the worker of its own tests.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 2 && os.Args[1] == "work":
		if err := sandbox.Work(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case len(os.Args) == 2 && os.Args[1] == "crash":
		panic("on purpose")
	case len(os.Args) == 2 && os.Args[1] == "babble":
		fmt.Println("no answer")
		os.Exit(0)
	case len(os.Args) == 2 && os.Args[1] == "env":
		fmt.Printf("{%q:{%q:%q,%q:%q}}", "Error", "Kind", "invalid", "Detail", strings.Join(os.Environ(), " "))
		os.Exit(0)
	}
	conformance.VerifyMain(m)
}
