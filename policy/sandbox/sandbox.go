// Package sandbox tries policies that nobody trusts yet in a process of their own, which has little time, little memory and
// nothing to give away.
//
// Rego ends by itself in the end, but not soon: a few lines can fill the memory or keep a processor busy for hours, and the
// evaluator cannot be stopped everywhere. A process can.
package sandbox

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/wire"
)

// Options are what a Sandbox is made of. Command and Admins are required.
type Options struct {
	Command []string // arguments that make this program call Work
	Admins  []string // as policy.Options has it
	Hosts   []string // as policy.Options has it

	Time   time.Duration // that one run may take, and one test half of that; 0: 10 s
	Replay time.Duration // after which a replay stops with what there is; 0: three quarters of Time
	Memory int64         // that it may use, in bytes; 0: 256 MiB
	Output int64         // that it may answer, in bytes; 0: 4 MiB
	AtOnce int           // runs at once, others wait; 0: 2
}

// What a run may have by default.
const (
	defaultTime   = 10 * time.Second
	defaultMemory = 256 << 20
	defaultOutput = 4 << 20
	defaultAtOnce = 2
)

// Sandbox runs this program again for each draft, with the limits of its Options and an empty environment. A draft that goes
// beyond them is an ErrInvalid; that no process can be started is an ErrUnavailable.
type Sandbox struct {
	options Options
	slots   chan struct{}
}

// New makes a Sandbox. It starts nothing.
func New(o Options) *Sandbox {
	o.Command, o.Admins, o.Hosts = slices.Clone(o.Command), slices.Clone(o.Admins), slices.Clone(o.Hosts)
	if o.Time == 0 {
		o.Time = defaultTime
	}
	if o.Replay == 0 {
		o.Replay = o.Time * 3 / 4
	}
	if o.Memory == 0 {
		o.Memory = defaultMemory
	}
	if o.Output == 0 {
		o.Output = defaultOutput
	}
	if o.AtOnce == 0 {
		o.AtOnce = defaultAtOnce
	}
	return &Sandbox{options: o, slots: make(chan struct{}, o.AtOnce)}
}

// Check compiles a set and finds out who could change the policy under it, as policy.Authorizer.Check does.
func (s *Sandbox) Check(ctx context.Context, set wire.PolicySet, caller *core.Caller) (policy.Verdict, error) {
	a, err := s.run(ctx, job{Do: jobCheck, Set: set, Caller: caller}, nil)
	return a.Verdict, err
}

// Test runs the tests of a set, as policy.Test does.
func (s *Sandbox) Test(ctx context.Context, set wire.PolicySet) (wire.PolicyTests, error) {
	a, err := s.run(ctx, job{Do: jobTest, Set: set}, nil)
	return a.Tests, err
}

// Replay asks a set again what was recorded, as policy.Replay does, and stops early rather than late.
func (s *Sandbox) Replay(ctx context.Context, set wire.PolicySet, records iter.Seq2[wire.Decision, error]) (wire.Replayed, error) {
	a, err := s.run(ctx, job{Do: jobReplay, Set: set}, records)
	return a.Replayed, err
}
