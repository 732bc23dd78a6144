package conformance

import (
	"os"
	"testing"
	"time"
)

// SoakVariable names the environment variable that sets how long each test with a time budget runs.
const SoakVariable = "DYNCONFIG_SOAK"

// budget returns how long a test may go on: usual, or what SoakVariable says.
func budget(t testing.TB, usual time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(SoakVariable)
	if text == "" {
		return usual
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		t.Fatalf("%s=%q is no duration such as 10m", SoakVariable, text)
	}
	return d
}

// seeds runs f with 1, 2, 3 … until the budget is used up or f failed, and with least of them in any case.
func seeds(t testing.TB, usual time.Duration, least uint64, f func(seed uint64)) {
	t.Helper()
	end := time.Now().Add(budget(t, usual))
	for seed := uint64(1); seed <= least || time.Now().Before(end); seed++ {
		f(seed)
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
}
