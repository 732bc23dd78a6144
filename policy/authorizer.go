// Package policy answers who may do what, in Rego: the shipped rules over access control lists, or an operator's own set
// in front of them.
package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/dynconfig/dynconfig/core"
)

var _ core.Authorizer = (*Authorizer)(nil)

// Options are what an Authorizer is made of. Admins is required.
type Options struct {
	Admins  []string         // the server admins: exact names
	Set     Set              // an operator's own rules; the zero Set: the shipped ones alone
	Hosts   []string         // those that http.send may call; none: it is not available
	Logger  *slog.Logger     // told of errors in a policy; nil: none
	Now     func() time.Time // the time of an Access that has none; nil: time.Now
	Answers int              // decisions kept; 0: 100,000
}

// Set is an operator's policy. Its modules, Rego by file name, replace the shipped package dynconfig.authz and must define
// data.dynconfig.authz.decision; files that end in _test.rego are for its tests alone. Data is what they find under data,
// beside dynconfig.config. Revision names the set, for those who ask what decided.
type Set struct {
	Modules  map[string]string
	Data     map[string]any
	Revision string
}

const (
	defaultAnswers = 100_000
	// runsAtOnce is how many runs share a processor: if all that are asked for ran at once, none would end within its limit.
	// turnLimit is how long one waits for its turn; the limit of the run itself begins with that.
	runsAtOnce = 2
	turnLimit  = 2 * time.Second
	// maxTermEntries bounds the terms kept of ACLs, counted in entries of their lists: about 60 MiB.
	maxTermEntries = 250_000
)

// Authorizer is the core.Authorizer over Rego. It keeps the decisions it can keep, and swaps policies in one step: an
// access is decided by one policy or the other, never by parts of both.
type Authorizer struct {
	admins []string
	hosts  []string
	log    *slog.Logger
	now    func() time.Time

	loading sync.Mutex // held by Load alone: nobody waits here for a decision
	current atomic.Pointer[policy]
	answers *otter.Cache[question, *answer]
	records *Records // nil: none
	terms   *terms
	turns   chan struct{} // a place for each run that goes on
	stats   counters
	logged  atomic.Int64 // when a policy error was last logged, in Unix seconds
}

// New compiles the policy. It fails with a sentence for the operator if there is no server admin or the set is not valid.
func New(ctx context.Context, o Options) (*Authorizer, error) {
	if err := checkAdmins(o.Admins); err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Answers == 0 {
		o.Answers = defaultAnswers
	}
	answers, err := otter.New(&otter.Options[question, *answer]{MaximumSize: o.Answers, Executor: inline})
	if err != nil {
		return nil, err
	}
	a := &Authorizer{
		admins: slices.Clone(o.Admins), hosts: slices.Clone(o.Hosts), log: o.Logger, now: o.Now,
		answers: answers, terms: newTerms(maxTermEntries),
		turns: make(chan struct{}, runsAtOnce*runtime.GOMAXPROCS(0)),
	}
	if err := a.Load(ctx, o.Set); err != nil {
		return nil, err
	}
	return a, nil
}

// inline runs a cache's housekeeping on the goroutine that caused it, so that none is left behind.
func inline(work func()) { work() }

// checkAdmins refuses what would leave the server to nobody or to everybody.
func checkAdmins(admins []string) error {
	if len(admins) == 0 {
		return core.Errorf(core.ErrInvalid, "ADMINS is empty: name at least one principal who administers this server")
	}
	for _, name := range admins {
		if core.CheckUsername(name) != nil {
			return core.Errorf(core.ErrInvalid, "ADMINS holds %q, which is not an exact principal: wildcards, blanks around a name and control characters are refused", name)
		}
	}
	return nil
}

// Load puts a set in the place of the present one if it compiles; otherwise the present one stays. Accesses go on
// meanwhile, each decided by either. A set that is the present one but for its revision changes no answer: it gets that
// revision and no generation.
func (a *Authorizer) Load(ctx context.Context, set Set) error {
	a.loading.Lock()
	defer a.loading.Unlock()
	digest := a.Digest(set)
	if p := a.current.Load(); p != nil && p.digest == digest {
		p.set.Store(&set)
		return nil
	}
	p, err := compile(ctx, set, a.admins, a.hosts)
	if err != nil {
		return err
	}
	p.generation, p.digest = a.Generation()+1, digest
	p.set.Store(&set)
	a.current.Store(p)
	a.answers.InvalidateAll() // the old ones can never be asked again
	return nil
}

// Generation counts the policies of this Authorizer. It never repeats.
func (a *Authorizer) Generation() uint64 {
	if p := a.current.Load(); p != nil {
		return p.generation
	}
	return 0
}

// Record has decisions recorded from now on. It is called before the first of them.
func (a *Authorizer) Record(in *Records) { a.records = in }

// Authorize decides one access. A policy that fails denies, as rule policy-error; an error means that ctx ended first.
func (a *Authorizer) Authorize(ctx context.Context, who *core.Subject, ask core.Access) (core.Decision, error) {
	p := a.current.Load()
	kept := !p.reads.volatile
	var q question
	if kept {
		q = p.question(who, &ask)
		if got, ok := a.answers.GetIfPresent(q); ok {
			a.stats.hits.Add(1)
			if a.records.wants(got.Allow) {
				a.records.note(p, who, &ask, &q, got, true, true)
			}
			return got.Decision, nil
		}
		a.stats.misses.Add(1)
	}
	got, err := a.evaluate(ctx, p, who, &ask)
	if err != nil {
		return core.Decision{}, err
	}
	if kept = kept && got.failure == nil; kept {
		a.answers.Set(q, got)
	}
	if a.records.wants(got.Allow) {
		q = p.question(who, &ask)
		a.records.note(p, who, &ask, &q, got, kept, false)
	}
	return got.Decision, nil
}

// evaluate asks the policy itself. An answer that came of a failure says so, and is not kept.
func (a *Authorizer) evaluate(ctx context.Context, p *policy, who *core.Subject, ask *core.Access) (*answer, error) {
	if ask.Time.IsZero() {
		ask.Time = a.now()
	}
	var d core.Decision
	err := a.turn(ctx)
	start := time.Now()
	if err == nil {
		d, err = a.run(ctx, p, who, ask)
	}
	took := time.Since(start)
	a.stats.evaluated(took, err)
	switch {
	case err == nil:
		return &answer{Decision: d, took: took}, nil
	case ctx.Err() != nil:
		return nil, unanswered(ctx)
	}
	a.report(ctx, err)
	failed := core.Decision{Late: errors.Is(err, errLate), Rule: RuleError, Reason: "The policy failed to decide"}
	return &answer{Decision: failed, took: took, failure: err}, nil
}

// run asks the policy, and gives the turn back.
func (a *Authorizer) run(ctx context.Context, p *policy, who *core.Subject, ask *core.Access) (core.Decision, error) {
	defer func() { <-a.turns }()
	input, err := p.input(a.terms, who, ask)
	if err != nil {
		return core.Decision{}, err
	}
	return p.evaluate(ctx, input, ask.Time)
}

var errTurn = fmt.Errorf("too many decisions at once: %w", errLate)

// turn waits for the place of a run.
func (a *Authorizer) turn(ctx context.Context) error {
	select {
	case a.turns <- struct{}{}:
		return nil
	default:
	}
	late := make(chan struct{})
	defer after(turnLimit, func() { close(late) }).stop()
	select {
	case a.turns <- struct{}{}:
		return nil
	case <-late:
		return errTurn
	case <-ctx.Done():
		return ctx.Err()
	}
}

func unanswered(ctx context.Context) error {
	return core.Errorf(core.ErrUnavailable, "The request ended before it was decided").Because(ctx.Err())
}

// report logs a policy's failure, at most one a second: a broken policy fails at every access.
func (a *Authorizer) report(ctx context.Context, err error) {
	now := time.Now().Unix()
	if last := a.logged.Load(); now != last && a.logged.CompareAndSwap(last, now) {
		a.log.LogAttrs(ctx, slog.LevelError, "policy failed, access denied", slog.Uint64("generation", a.Generation()), slog.String("error", err.Error()))
	}
}
