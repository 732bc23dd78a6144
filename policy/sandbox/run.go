package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

var (
	errTime  = errors.New("out of time")
	errFlood = errors.New("too much output")
)

const (
	maxComplaint = 16 << 10         // of what a worker says when it dies
	pipeWait     = 10 * time.Second // for what is left in its pipes, once it is dead: nobody else holds them
)

// run starts a worker, gives it a job and waits for its answer. No process is left when it returns.
func (s *Sandbox) run(ctx context.Context, j job, records iter.Seq2[wire.Decision, error]) (answer, error) {
	left := core.Errorf(core.ErrUnavailable, "The request ended before the policy was tried")
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return answer{}, left.Because(ctx.Err())
	}
	j.Admins, j.Hosts, j.Time, j.Memory = s.options.Admins, s.options.Hosts, s.options.Time, s.options.Memory
	j.Until = time.Now().Add(s.options.Replay)
	limited, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer time.AfterFunc(s.options.Time, func() { stop(errTime) }).Stop()

	var complaint bytes.Buffer
	out := &capped{max: s.options.Output, over: func() { stop(errFlood) }}
	worker, feed, err := s.start(limited, out, &capped{buffer: &complaint, max: maxComplaint, over: func() {}})
	if err != nil {
		return answer{}, unstarted(err)
	}
	fed := make(chan error, 1)
	go func() { fed <- give(limited, feed, j, records) }()
	err = worker.Wait()
	stop(nil) // what is still to be given nobody takes
	unread := <-fed

	switch cause := context.Cause(limited); {
	case ctx.Err() != nil:
		return answer{}, left.Because(ctx.Err())
	case errors.Is(cause, errTime):
		return answer{}, s.late()
	case errors.Is(cause, errFlood):
		return answer{}, core.Errorf(core.ErrInvalid, "What the policy's tests say is more than %d bytes", s.options.Output)
	case unread != nil:
		return answer{}, unread
	case err != nil:
		return answer{}, s.died(err, complaint.Bytes())
	}
	var a answer
	if err := json.Unmarshal(out.bytes(), &a); err != nil {
		return answer{}, core.Errorf(core.ErrInternal, "").Because(fmt.Errorf("answer of a policy worker: %w", err))
	}
	if a.Error != nil {
		return answer{}, a.Error.err()
	}
	return a, nil
}

// inWorker is the one variable that a worker has.
const inWorker = "DYNCONFIG_POLICY_WORKER"

// start starts this program as a worker. It inherits no variable, and no file but its three pipes. A worker starts none: a
// program that does not know the command, and goes on to be a server, does not multiply.
func (s *Sandbox) start(ctx context.Context, out, complaint io.Writer) (*exec.Cmd, io.WriteCloser, error) {
	program, err := executable()
	if os.Getenv(inWorker) != "" {
		err = errors.New("a policy worker starts no other")
	}
	if err != nil {
		return nil, nil, err
	}
	worker := exec.CommandContext(ctx, program, s.options.Command...)
	worker.Env, worker.Stdout, worker.Stderr, worker.WaitDelay = []string{inWorker + "=1"}, out, complaint, pipeWait
	feed, err := worker.StdinPipe()
	if err == nil {
		err = worker.Start()
	}
	return worker, feed, err
}

func unstarted(err error) error {
	return &core.Error{Kind: core.ErrUnavailable, Detail: "Policies cannot be tried now; try again", Retry: time.Second, Cause: err}
}

// give writes the job and the records. A worker that does not read on has its reasons; only records that cannot be read are
// an error.
func give(ctx context.Context, feed io.WriteCloser, j job, records iter.Seq2[wire.Decision, error]) error {
	defer func() { _ = feed.Close() }()
	to := json.NewEncoder(feed)
	if to.Encode(j) != nil || records == nil {
		return nil
	}
	for record, err := range records {
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case to.Encode(record) != nil:
			return nil
		}
	}
	return nil
}

func (s *Sandbox) late() error {
	return core.Errorf(core.ErrInvalid, "The policy was tried for %v and then ended: it loops, or does too much", s.options.Time)
}

// died says why a worker did not answer.
func (s *Sandbox) died(err error, complaint []byte) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return unstarted(err)
	}
	if exit.ExitCode() == exitTime {
		return s.late()
	}
	if exit.ExitCode() == exitMemory || exit.ExitCode() < 0 || outOfMemory(complaint) { // negative: killed, by the system
		return core.Errorf(core.ErrInvalid, "The policy needs more than %d MiB of memory", s.options.Memory>>20)
	}
	return core.Errorf(core.ErrInternal, "").Because(fmt.Errorf("policy worker: %w: %s", err, complaint))
}

// outOfMemory reports whether the runtime ended a program that got no more memory, or no more of a stack.
func outOfMemory(complaint []byte) bool {
	for _, sign := range []string{"out of memory", "cannot allocate memory", "failed to allocate", "stack overflow", "stack exceeds", "failed to create new OS thread", "pthread_create"} {
		if bytes.Contains(complaint, []byte(sign)) {
			return true
		}
	}
	return false
}

// capped keeps what is written up to a limit, and says once that there is more, which it drops.
type capped struct {
	buffer *bytes.Buffer
	max    int64
	over   func()
}

func (c *capped) Write(p []byte) (int, error) {
	if c.buffer == nil {
		c.buffer = &bytes.Buffer{}
	}
	if room := c.max - int64(c.buffer.Len()); int64(len(p)) > room {
		c.over()
		c.buffer.Write(p[:max(room, 0)])
		return len(p), nil
	}
	return c.buffer.Write(p)
}

func (c *capped) bytes() []byte {
	if c.buffer == nil {
		return nil
	}
	return c.buffer.Bytes()
}
