package observability

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// noon is when line 0 was written; each further one is a second younger.
var noon = time.Unix(1_700_000_000, 0).UTC()

func line(n int) []byte {
	at := noon.Add(time.Duration(n) * time.Second).Format(time.RFC3339Nano)
	return fmt.Appendf(nil, `{"decision_id":"%06d","timestamp":"%s","input":{"timestamp":"other"},"fill":"%s"}`, n, at, strings.Repeat("x", n%97))
}

// write appends lines from a to below b, each its own write so that files are turned between them.
func write(t *testing.T, l *DecisionLog, a, b int) {
	t.Helper()
	for n := a; n < b; n++ {
		l.Append(line(n))
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
	}
}

// read reads a page of at most limit lines.
func read(t *testing.T, l *DecisionLog, from string, since, until time.Time, limit int) (lines []string, next string) {
	t.Helper()
	next, err := l.Backward(t.Context(), from, since, until, func(b []byte) bool {
		lines = append(lines, string(b))
		return len(lines) < limit
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines, next
}

// backTo fails unless lines are those from below b down to a.
func backTo(t *testing.T, lines []string, b, a int) {
	t.Helper()
	if len(lines) != b-a {
		t.Fatalf("%d lines, want %d", len(lines), b-a)
	}
	for i, got := range lines {
		if want := string(line(b - 1 - i)); got != want {
			t.Fatalf("line %d is %s, want %s", i, got, want)
		}
	}
}

func TestPagesGoBackThroughAllFilesAndRepeatNothing(t *testing.T) {
	l := must(OpenDecisionLog(t.TempDir(), DecisionLogOptions{MaxBytes: 3000, Files: 100}))
	defer l.Close()
	write(t, l, 0, 300)
	for _, limit := range []int{1, 2, 7, 50, 299, 300, 1000} {
		var all []string
		from := ""
		for {
			lines, next := read(t, l, from, time.Time{}, time.Time{}, limit)
			if all = append(all, lines...); next == "" {
				break
			}
			from = next
		}
		backTo(t, all, 300, 0)
	}
}

func TestPlaceStaysWhenTheLogGrowsAndIsRotated(t *testing.T) {
	l := must(OpenDecisionLog(t.TempDir(), DecisionLogOptions{MaxBytes: 3000, Files: 200}))
	defer l.Close()
	write(t, l, 0, 200)
	var all []string
	random := rand.New(rand.NewPCG(1, 2))
	for from, n := "", 200; ; n += 17 {
		lines, next := read(t, l, from, time.Time{}, time.Time{}, 1+random.IntN(20))
		if all = append(all, lines...); next == "" {
			break
		}
		from = next
		write(t, l, n, n+17)
	}
	backTo(t, all, 200, 0)
}

func TestNothingIsOlderThanAPlaceInAFileThatIsGone(t *testing.T) {
	l := must(OpenDecisionLog(t.TempDir(), DecisionLogOptions{MaxBytes: 3000, Files: 2}))
	defer l.Close()
	write(t, l, 0, 10)
	_, next := read(t, l, "", time.Time{}, time.Time{}, 3)
	write(t, l, 10, 200)
	if lines, next := read(t, l, next, time.Time{}, time.Time{}, 3); len(lines) > 0 || next != "" {
		t.Errorf("got %q and the place %q, want nothing", lines, next)
	}
}

func TestCursorThatWasNotGivenOutIsRefused(t *testing.T) {
	l := must(OpenDecisionLog(t.TempDir(), DecisionLogOptions{}))
	defer l.Close()
	write(t, l, 0, 10)
	_, next := read(t, l, "", time.Time{}, time.Time{}, 3)
	good := must(parsePlace(next))
	for _, bad := range []string{
		"x", "!!!", next + "A", next[:5], place{good.file, good.end - 1}.String(), place{good.file, good.end + 1}.String(), place{good.file, 1 << 40}.String(),
	} {
		if _, err := l.Backward(t.Context(), bad, time.Time{}, time.Time{}, func([]byte) bool { return true }); !errors.Is(err, core.ErrMalformed) {
			t.Errorf("%q: got %v, want it refused", bad, err)
		}
	}
}

func TestPeriodIsReadInBothDirections(t *testing.T) {
	l := must(OpenDecisionLog(t.TempDir(), DecisionLogOptions{MaxBytes: 3000, Files: 100}))
	defer l.Close()
	write(t, l, 0, 500)
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }
	for _, c := range []struct {
		since, until time.Time
		a, b         int
	}{
		{time.Time{}, time.Time{}, 0, 500},
		{at(100), at(300), 100, 300},
		{at(499), time.Time{}, 499, 500},
		{time.Time{}, at(1), 0, 1},
		{at(-900), at(-800), 0, 0},
		{at(900), at(1000), 0, 0},
		{at(250), at(251), 250, 251},
	} {
		lines, next := read(t, l, "", c.since, c.until, 1000)
		backTo(t, lines, c.b, c.a)
		if next != "" {
			t.Errorf("from %v there is more at %q", c.since, next)
		}
		var forward []string
		if err := l.Forward(t.Context(), c.since, c.until, func(b []byte) error { forward = append(forward, string(b)); return nil }); err != nil {
			t.Fatal(err)
		}
		slices.Reverse(forward)
		backTo(t, forward, c.b, c.a)
	}
}

func TestLineTornByACrashIsNeverRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, DecisionFile)
	for n := range 5 {
		l := must(OpenDecisionLog(dir, DecisionLogOptions{}))
		write(t, l, n, n+1)
		file := must(os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0o600)) // as a write that did not end
		must(file.Write(line(n + 1)[:20+n*10]))
		lines, _ := read(t, l, "", time.Time{}, time.Time{}, 100)
		backTo(t, lines, n+1, 0)
		if err := errors.Join(file.Close(), l.file.close()); err != nil { // no Close: the process is gone
			t.Fatal(err)
		}
	}
}

func TestWorkOfOnePageIsBounded(t *testing.T) {
	l := must(OpenDecisionLog(t.TempDir(), DecisionLogOptions{}))
	defer l.Close()
	fill := strings.Repeat("x", 100_000)
	for n := range 2 * readBytes / len(fill) {
		l.Append(fmt.Appendf(nil, `{"decision_id":"%d","timestamp":"%s","fill":"%s"}`, n, noon.Format(time.RFC3339), fill))
		if n%100 == 0 {
			if err := l.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	pages, seen, from := 0, 0, ""
	for {
		before := seen
		next, err := l.Backward(t.Context(), from, time.Time{}, time.Time{}, func([]byte) bool { seen++; return true })
		if err != nil {
			t.Fatal(err)
		}
		if (seen-before)*len(fill) > readBytes+2*readChunk {
			t.Errorf("one page took %d lines", seen-before)
		}
		pages++
		if from = next; next == "" {
			break
		}
	}
	if want := 2 * readBytes / len(fill); seen != want || pages < 2 {
		t.Errorf("%d lines on %d pages, want %d on at least 2", seen, pages, want)
	}
}

func TestLinesPastTheQueueAreLostAndTheLogSaysSo(t *testing.T) {
	dir := t.TempDir()
	l := must(OpenDecisionLog(dir, DecisionLogOptions{Queue: 250, Lost: func(n uint64, at time.Time) []byte {
		return fmt.Appendf(nil, `{"timestamp":"%s","lost":%d}`, at.Format(time.RFC3339Nano), n)
	}}))
	l.Append(line(0), line(1), line(2), line(3))
	l.Lose(5)
	if s := l.Stats(); s != (JournalStats{Waiting: 2, Lost: 7}) || l.Health() != core.Degraded {
		t.Errorf("got %+v, %s", s, l.Health())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	text := string(must(os.ReadFile(filepath.Join(dir, DecisionFile))))
	if lines := strings.SplitAfter(text, "\n"); len(lines) != 4 || !strings.Contains(lines[2], `"lost":7}`) {
		t.Errorf("the file holds %s", text)
	}
}
