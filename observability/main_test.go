package observability

import (
	"os"
	"testing"

	"github.com/dynconfig/dynconfig/conformance"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("DYNCONFIG_TEST_FULL_DISK"); dir != "" {
		os.Exit(writeToFullDisk(dir))
	}
	conformance.VerifyMain(m)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
