package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/wire"
)

// How a worker ends that does not answer.
const (
	exitMemory = 90
	exitTime   = 91
)

const (
	processors = 2
	maxStack   = 64 << 20
	watchEvery = 5 * time.Millisecond
	grace      = 2 * time.Second // beyond its time, for one whose parent did not live to end it
)

// Work is what a worker does: it reads a job, limits this process, does the job, and writes the answer. It is for a process
// that does nothing else, and does not return where the limits end it. An error means that there is no job or no answer.
func Work(in io.Reader, out io.Writer) error {
	from := json.NewDecoder(in)
	from.UseNumber()
	var j job
	if err := from.Decode(&j); err != nil {
		return errors.New("there is no job: a server starts this command, nobody else")
	}
	limit(j)
	a, err := j.do(context.Background(), from) // its time is limited by whoever ends this process
	if err != nil {
		a = answer{Error: failureOf(err)}
	}
	return json.NewEncoder(out).Encode(a)
}

// limit makes this process end by itself when it has used up what it may.
func limit(j job) {
	runtime.GOMAXPROCS(processors)
	debug.SetMaxStack(maxStack)
	debug.SetMemoryLimit(j.Memory * 3 / 4) // from there on the collector works harder
	limitProcess(j)                        // what grows too fast to be seen below
	time.AfterFunc(j.Time+grace, func() { os.Exit(exitTime) })
	go watchMemory(j.Memory)
}

// watchMemory ends the process when it holds more than it may.
func watchMemory(most int64) {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	for range time.Tick(watchEvery) {
		metrics.Read(sample)
		if int64(sample[0].Value.Uint64()-sample[1].Value.Uint64()) > most {
			os.Exit(exitMemory)
		}
	}
}

func (j *job) do(ctx context.Context, from *json.Decoder) (a answer, err error) {
	set, err := setOf(j.Set)
	if err != nil {
		return a, err
	}
	o := policy.CompileOptions{Admins: j.Admins, Hosts: j.Hosts}
	switch j.Do {
	case jobCheck:
		a.Verdict, err = j.check(ctx, set)
	case jobTest:
		var tested policy.Tested
		tested, err = policy.Test(ctx, set, policy.TestOptions{CompileOptions: o, Timeout: j.Time / 2})
		a.Tests = tested.PolicyTests
	case jobReplay:
		var p *policy.Program
		if p, err = policy.Compile(ctx, set, o); err == nil {
			a.Replayed, err = policy.Replay(ctx, p, recordsFrom(from), policy.ReplayOptions{Until: j.Until})
		}
	default:
		err = core.Errorf(core.ErrInternal, "no such job")
	}
	return a, err
}

func (j *job) check(ctx context.Context, set policy.Set) (policy.Verdict, error) {
	shipped, err := policy.New(ctx, policy.Options{Admins: j.Admins, Hosts: j.Hosts})
	if err != nil {
		return policy.Verdict{}, err
	}
	return shipped.Check(ctx, set, j.Caller)
}

func recordsFrom(from *json.Decoder) iter.Seq2[wire.Decision, error] {
	return func(yield func(wire.Decision, error) bool) {
		for {
			var d wire.Decision
			err := from.Decode(&d)
			if errors.Is(err, io.EOF) || !yield(d, err) || err != nil {
				return
			}
		}
	}
}
