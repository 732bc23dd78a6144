package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy/sandbox"
	"github.com/dynconfig/dynconfig/wire"
)

func open(change func(*sandbox.Options)) *sandbox.Sandbox {
	o := sandbox.Options{Command: []string{"work"}, Admins: []string{"admin-user"}, Time: 5 * time.Minute}
	if change != nil {
		change(&o)
	}
	return sandbox.New(o)
}

// set has one rule that decides, and tests.
func set(decision, tests string) wire.PolicySet {
	s := wire.PolicySet{Modules: map[string]string{"authz.rego": "package dynconfig.authz\n\n" + decision + "\n"}}
	if tests != "" {
		s.Modules["authz_test.rego"] = "package dynconfig.authz_test\n\n" + tests + "\n"
	}
	return s
}

const shipped = "decision := data.dynconfig.acl.decision"

func TestWorkerRunsTheTestsOfASet(t *testing.T) {
	s := set(shipped, "test_data if data.big == 9007199254740993\n\ntest_wrong if data.big == 1")
	s.Data = json.RawMessage(`{"big":9007199254740993}`)
	got, err := open(nil).Test(t.Context(), s)
	if err != nil || got.Passed != 1 || len(got.Failed) != 1 || got.Failed[0].Location != "authz_test.rego:5" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestWorkerChecksWhoCouldChangeThePolicy(t *testing.T) {
	caller := &core.Caller{Subject: &core.Subject{Username: "ann", Claims: map[string]any{"n": json.Number("9007199254740993")}}, Environment: "default"}
	claims := `decision := {"allow": true} if {
	input.subject.claims.n == 9007199254740993
} else := data.dynconfig.acl.decision`
	v, err := open(nil).Check(t.Context(), set(claims, ""), caller)
	if err != nil || len(v.Reads) != 1 || v.Reads[0] != "claims.n" {
		t.Errorf("got %+v, %v", v, err)
	}
	if _, err := open(nil).Check(t.Context(), set(shipped, ""), caller); !errors.Is(err, core.ErrInvalid) || !strings.Contains(err.Error(), "lock yourself out") {
		t.Errorf("got %v, want the lockout", err)
	}
}

func TestWorkerRefusesASetWithFileAndLine(t *testing.T) {
	_, err := open(nil).Test(t.Context(), set("decision := nothing(1)", ""))
	var e *core.Error
	if !errors.As(err, &e) || !errors.Is(err, core.ErrInvalid) || len(e.Fields) != 1 || e.Fields[0].Path != "authz.rego:3" || !strings.Contains(e.Detail, "undefined function") {
		t.Errorf("got %v", err)
	}
	s := set(shipped, "")
	s.Data = json.RawMessage(`[]`)
	if _, err := open(nil).Test(t.Context(), s); !errors.Is(err, core.ErrInvalid) || !strings.Contains(err.Error(), "object") {
		t.Errorf("data that is a list: got %v", err)
	}
}

func record(i int) wire.Decision {
	return wire.Decision{
		Count: 1, Principal: "ann", Action: "read", Kind: "key", Key: "k" + strconv.Itoa(i%10), Allow: true, Rule: "key-read",
		Input: json.RawMessage(`{"subject":{"username":"ann","claims":{}},"action":"read","resource":{"kind":"key","key":"k` + strconv.Itoa(i%10) + `"}}`),
	}
}

func manyRecords(n int, last error) iter.Seq2[wire.Decision, error] {
	return func(yield func(wire.Decision, error) bool) {
		for i := range n {
			if !yield(record(i), nil) {
				return
			}
		}
		if last != nil {
			yield(wire.Decision{}, last)
		}
	}
}

func TestWorkerReplaysRecordsAsTheyCome(t *testing.T) {
	r, err := open(nil).Replay(t.Context(), set(`decision := {"allow": input.resource.key != "k7", "rule": "x"}`, ""), manyRecords(5000, nil))
	if err != nil || r.Decisions != 5000 || r.Changed != 500 || len(r.Changes) != 1 || r.Changes[0].Key != "k7" || r.Changes[0].Count != 500 || r.Truncated {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestRecordsThatCannotBeReadAreAnError(t *testing.T) {
	broken := core.Errorf(core.ErrUnavailable, "The disk")
	if _, err := open(nil).Replay(t.Context(), set(shipped, ""), manyRecords(5, broken)); !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of the records", err)
	}
}

func TestReplayStopsBeforeItsTimeIsUp(t *testing.T) {
	endless := func(yield func(wire.Decision, error) bool) {
		for i := 0; yield(record(i), nil); i++ {
		}
	}
	slow := set(`decision := {"allow": count([1 | numbers.range(1, 20000)[_] == 7]) == 1}`, "")
	for wait := 2 * time.Second; ; wait *= 2 {
		r, err := open(func(o *sandbox.Options) { o.Replay = wait }).Replay(t.Context(), slow, endless)
		if err != nil || !r.Truncated {
			t.Fatalf("got %+v, %v, want some and truncated", r, err)
		}
		if r.Decisions > 0 {
			return
		}
		if wait > time.Minute { // a busy machine may need as long until a worker has begun
			t.Fatalf("got %+v after %v, want some", r, wait)
		}
	}
}

// hungry doubles a list until there is no memory left to write it down.
func hungry() string {
	var b strings.Builder
	b.WriteString("test_hungry if {\n\tx0 := [\"0123456789abcdef\"]\n")
	for i := range 30 {
		b.WriteString("\tx" + strconv.Itoa(i+1) + " := [x" + strconv.Itoa(i) + ", x" + strconv.Itoa(i) + "]\n")
	}
	b.WriteString("\tcount(json.marshal(x30)) > 1\n}")
	return b.String()
}

func TestDraftThatGoesTooFarIsEndedWithASentence(t *testing.T) {
	loop := "" // of many tests, so that together they take longer than one may
	for i := range 20 {
		loop += "test_loop" + strconv.Itoa(i) + " if count([1 | numbers.range(1, 100000)[_] == numbers.range(1, 100000)[_] + 1000000]) == 7\n\n"
	}
	gather := "test_gather if {\n\tx := [[i, j, k] | some i in numbers.range(1, 1000); some j in numbers.range(1, 1000); some k in numbers.range(1, 1000)]\n\tcount(x) == 1\n}"
	flood := "test_flood if {\n\tsome i in numbers.range(1, 100)\n\tprint(i, \"0123456789 0123456789 0123456789\")\n\ti < 0\n}"
	for name, c := range map[string]struct {
		tests, says string
		change      func(*sandbox.Options)
	}{
		"loops":          {loop, "ended", func(o *sandbox.Options) { o.Time = 2 * time.Second }},
		"doubles a list": {hungry(), "more than 64 MiB of memory", func(o *sandbox.Options) { o.Memory = 64 << 20 }},
		"gathers a list": {gather, "more than 64 MiB of memory", func(o *sandbox.Options) { o.Memory = 64 << 20 }},
		"says too much":  {flood, "more than 2000 bytes", func(o *sandbox.Options) { o.Output = 2000 }},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(c.change).Test(t.Context(), set(shipped, c.tests))
			var e *core.Error
			if !errors.As(err, &e) || !errors.Is(err, core.ErrInvalid) || !strings.Contains(e.Detail, c.says) {
				t.Errorf("got %v, want it refused with %q", err, c.says)
			}
			noneLeft(t)
		})
	}
}

// noneLeft demands that no worker of this program lives, where the system tells.
func noneLeft(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, line := range lines {
		text, err := os.ReadFile(line)
		exe, _ := os.Readlink(filepath.Join(filepath.Dir(line), "exe"))
		if err == nil && exe == self && strings.HasSuffix(string(text), "\x00work\x00") {
			t.Errorf("a worker is left: %s", line)
		}
	}
}

func TestCallerThatLeavesTakesTheWorkerAlong(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := open(nil).Test(ctx, set(shipped, "test_loop if count([1 | numbers.range(1, 100000)[_] == numbers.range(1, 100000)[_] + 1000000]) == 7"))
	if !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
	noneLeft(t)
}

func TestRunsBeyondTheirNumberWaitOrLeave(t *testing.T) {
	box := open(func(o *sandbox.Options) { o.AtOnce = 1 })
	begun, release := make(chan struct{}), make(chan struct{})
	waits := func(yield func(wire.Decision, error) bool) {
		close(begun)
		<-release
	}
	first := make(chan error, 1)
	go func() {
		_, err := box.Replay(t.Context(), set(shipped, ""), waits)
		first <- err
	}()
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() {
		_, err := box.Test(ctx, set(shipped, ""))
		second <- err
	}()
	cancel()
	if err := <-second; !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("the one that waits leaves: got %v, want unavailable", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Errorf("the first: got %v", err)
	}
	if _, err := box.Test(t.Context(), set(shipped, "")); err != nil {
		t.Errorf("the next: got %v", err)
	}
}

func TestWorkerInheritsNoVariable(t *testing.T) {
	t.Setenv("SECRET_OF_THE_SERVER", "hush")
	_, err := open(func(o *sandbox.Options) { o.Command = []string{"env"} }).Test(t.Context(), wire.PolicySet{})
	var e *core.Error
	if !errors.As(err, &e) || e.Detail != "DYNCONFIG_POLICY_WORKER=1" {
		t.Errorf("got environment %v, want the mark of a worker alone", err)
	}
}

func TestWorkerStartsNoOther(t *testing.T) {
	t.Setenv("DYNCONFIG_POLICY_WORKER", "1")
	if _, err := open(nil).Test(t.Context(), set(shipped, "")); !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
}

func TestWorkerThatDoesNotWorkIsADefectAndShowsNothing(t *testing.T) {
	for _, command := range []string{"crash", "babble"} {
		_, err := open(func(o *sandbox.Options) { o.Command = []string{command} }).Test(t.Context(), set(shipped, ""))
		var e *core.Error
		if !errors.As(err, &e) || !errors.Is(err, core.ErrInternal) || e.Detail != "" {
			t.Errorf("%s: got %v, want internal without a sentence", command, err)
		}
	}
}

func TestWorkWithoutAJobSaysSo(t *testing.T) {
	if err := sandbox.Work(strings.NewReader(""), &strings.Builder{}); err == nil || !strings.Contains(err.Error(), "no job") {
		t.Errorf("got %v", err)
	}
}

func BenchmarkTest(b *testing.B) {
	box := open(nil)
	for b.Loop() {
		if _, err := box.Test(b.Context(), set(shipped, "test_a if data.dynconfig.acl.malformed")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReplay(b *testing.B) {
	r, err := open(nil).Replay(b.Context(), set(shipped, ""), manyRecords(b.N, nil))
	if err != nil || r.Decisions == 0 {
		b.Fatal(r, err)
	}
}
