package observability

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// records reads the audit log as anyone would; a line that is no record fails the test.
func records(t *testing.T, path string) []core.AuditEntry {
	t.Helper()
	var all []core.AuditEntry
	for line := range bytes.Lines(must(os.ReadFile(path))) {
		var e core.AuditEntry
		if err := json.Unmarshal(line, &e); err != nil || !bytes.HasSuffix(line, []byte("\n")) {
			t.Fatalf("%s holds %q: %v", path, line, err)
		}
		all = append(all, e)
	}
	return all
}

func entry(n int) core.AuditEntry {
	return core.AuditEntry{
		Time: time.Unix(1_700_000_000, 0).UTC(), Actor: "alice", Action: "write", Kind: core.KindKey, Key: "app.key" + strconv.Itoa(n),
		Environment: "default", Outcome: core.OutcomeAllowed, Rule: "key-write", Revision: 7, RequestID: "r", Address: "192.0.2.7",
	}
}

// inOrder fails unless the records are those of entry(from), entry(from+1) …
func inOrder(t *testing.T, got []core.AuditEntry, from, n int) {
	t.Helper()
	if len(got) != n {
		t.Fatalf("%d records, want %d", len(got), n)
	}
	for i, e := range got {
		if e != entry(from+i) {
			t.Fatalf("record %d is %+v, want %+v", i, e, entry(from+i))
		}
	}
}

func TestRecordsAreInTheFileWithin200Milliseconds(t *testing.T) {
	path := filepath.Join(t.TempDir(), AuditFile)
	synctest.Test(t, func(t *testing.T) {
		a := must(OpenAudit(filepath.Dir(path), AuditOptions{}))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.Run(ctx) }()
		for n := range 3 {
			a.Append(entry(2*n), entry(2*n+1))
			time.Sleep(200 * time.Millisecond)
			synctest.Wait()
			inOrder(t, records(t, path), 0, 2*n+2)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		a.Append(entry(6))
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		inOrder(t, records(t, path), 0, 7)
		if s := a.Stats(); s != (AuditStats{Written: 7}) || a.Health() != core.Healthy {
			t.Errorf("got %+v, %s", s, a.Health())
		}
		if info := must(os.Stat(path)); info.Mode().Perm() != 0o600 {
			t.Errorf("mode is %v, want 0600", info.Mode())
		}
	})
}

func TestRecordsAfterCloseAreCountedAsLost(t *testing.T) {
	a := must(OpenAudit(t.TempDir(), AuditOptions{}))
	for range 2 {
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	a.Append(entry(0))
	if s := a.Stats(); s.Lost != 1 || a.Health() != core.Degraded {
		t.Errorf("got %+v, %s, want one lost and degraded", s, a.Health())
	}
}

func TestAuditLogIsContinuedAndATornLastLineIsCutOff(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, AuditFile)
	next := 0
	for _, torn := range []string{"", `{"time":"20`, `{`, strings.Repeat("x", 200_000)} {
		file := must(os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644))
		must(file.WriteString(torn))
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		a := must(OpenAudit(dir, AuditOptions{}))
		a.Append(entry(next))
		next++
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		inOrder(t, records(t, path), 0, next)
	}
}

func TestAuditLogIsRotatedBySizeAndBounded(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, AuditFile)
	const most, files, total = 2000, 4, 500
	for n := 0; n < total; {
		a := must(OpenAudit(dir, AuditOptions{MaxBytes: most, Files: files})) // opened many times: it goes on where it was
		for range 20 {
			a.Append(entry(n))
			n++
			if err := a.flush(); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var all []core.AuditEntry
	for i := files - 1; i >= 1; i-- {
		all = append(all, records(t, path+"."+strconv.Itoa(i))...)
	}
	all = append(all, records(t, path)...)
	inOrder(t, all, total-len(all), len(all))
	found := must(os.ReadDir(dir))
	for _, f := range found {
		if info := must(f.Info()); info.Size() > most || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has %d bytes and mode %v", f.Name(), info.Size(), info.Mode())
		}
	}
	if len(found) != files {
		t.Errorf("%d files, want %d", len(found), files)
	}
}

func TestFailedRotationLosesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, AuditFile)
	a := must(OpenAudit(dir, AuditOptions{MaxBytes: 500, Files: 2}))
	if err := os.Mkdir(path+".next", 0o700); err != nil { // where the new file would be made
		t.Fatal(err)
	}
	for n := range 20 {
		a.Append(entry(n))
		if err := a.flush(); err != nil {
			t.Fatal(err)
		}
	}
	inOrder(t, records(t, path), 0, 20)
	if err := os.Remove(path + ".next"); err != nil {
		t.Fatal(err)
	}
	a.Append(entry(20))
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	inOrder(t, records(t, path+".1"), 0, 20)
	inOrder(t, records(t, path), 20, 1)
}

func TestDirectoryThatCannotBeWrittenIsAnErrorAtOnce(t *testing.T) {
	if _, err := OpenAudit(filepath.Join(t.TempDir(), "none"), AuditOptions{}); err == nil || !strings.Contains(err.Error(), "audit log") {
		t.Errorf("got %v", err)
	}
}

// TestFullDiskIsSurvivedAndLossesAreCounted runs writeToFullDisk in a process of its own, for the limit is the process's.
func TestFullDiskIsSurvivedAndLossesAreCounted(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command(must(os.Executable()))
	child.Env = append(os.Environ(), "DYNCONFIG_TEST_FULL_DISK="+dir)
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := records(t, filepath.Join(dir, AuditFile))
	if len(got) != 151 {
		t.Fatalf("%d records, want the 150 that there was room for, and one of the loss", len(got))
	}
	inOrder(t, got[:100], 0, 100)
	if lost := got[len(got)-1]; lost.Action != "lost" || lost.Key != "30 records" || lost.Outcome != core.OutcomeFailed {
		t.Errorf("the loss is recorded as %+v", lost)
	}
	inOrder(t, got[100:150], 100, 50)
}

// writeToFullDisk appends to an audit log on a disk that is full for a while.
func writeToFullDisk(dir string) (status int) {
	check := func(ok bool, what string, got any) {
		if !ok {
			fmt.Println(what+":", got)
			status = 1
		}
	}
	limit := func(bytes uint64) {
		var l syscall.Rlimit
		_ = syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l)
		l.Cur = min(bytes, l.Max)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
			panic(err)
		}
	}
	now := time.Unix(1_700_000_000, 0)
	a := must(OpenAudit(dir, AuditOptions{Queue: 50, Now: func() time.Time { return now }}))
	for n := range 50 {
		a.Append(entry(n))
	}
	check(a.flush() == nil, "room for 50", a.Stats())
	limit(uint64(must(os.Stat(a.path)).Size()) + 333) // in the middle of a line
	for n := range 50 {
		a.Append(entry(50 + n)) // one batch, which is begun
	}
	check(a.flush() != nil, "no room", a.Stats())
	check(a.Health() == core.Degraded, "health while full", a.Health())
	for n := range 80 {
		a.Append(entry(100 + n)) // 50 wait, 30 are lost
	}
	check(a.flush() != nil, "still no room", a.Stats())
	check(a.Stats() == AuditStats{Written: 50, Lost: 30, Waiting: 50}, "while full", a.Stats())
	limit(1 << 30)
	check(a.flush() == nil, "room again", a.Stats())
	check(a.Stats() == AuditStats{Written: 150, Lost: 30}, "afterwards", a.Stats())
	check(a.Health() == core.Degraded, "health after a loss", a.Health())
	now = now.Add(journalLostFor)
	check(a.Health() == core.Healthy, "health ten minutes later", a.Health())
	check(a.Close() == nil, "close", nil)
	return status
}

func TestAppendDoesNotWaitForTheDisk(t *testing.T) {
	a := must(OpenAudit(t.TempDir(), AuditOptions{Queue: 10}))
	a.writing.Lock() // a write that does not end
	for n := range 15 {
		a.Append(entry(n))
	}
	if s := a.Stats(); s != (AuditStats{Waiting: 10, Lost: 5}) {
		t.Errorf("got %+v, want 10 waiting and 5 lost", s)
	}
	a.writing.Unlock()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkAppend(b *testing.B) {
	a := must(OpenAudit(b.TempDir(), AuditOptions{}))
	e := entry(1)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		a.Append(e)
		if n%journalBatch == 0 { // what Run does meanwhile is part of the price
			_ = a.flush()
		}
	}
	_ = a.Close()
}
