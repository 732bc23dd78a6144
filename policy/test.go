package policy

import (
	"context"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/tester"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// TestOptions are what the tests of a set run with. Admins is required.
type TestOptions struct {
	CompileOptions
	Timeout  time.Duration // of one test; 0: 5 s
	Parallel int           // how many at once; 0: one for each processor
	Filter   string        // a regular expression that the full name matches, as data.dynconfig.authz_test.test_x; "": all
}

// Tested is what the tests of a set gave: in short, and one by one.
type Tested struct {
	wire.PolicyTests
	Tests []TestRun `json:"tests"` // by file and line
}

// TestRun is one test.
type TestRun struct {
	Test     string        `json:"test"`
	Location string        `json:"location"`
	Outcome  string        `json:"outcome"` // pass, fail, error, skipped
	Duration time.Duration `json:"nanoseconds"`
	Output   string        `json:"output,omitempty"` // of print
}

// The outcomes of a test.
const (
	testPassed  = "pass"
	testFailed  = "fail"
	testError   = "error"
	testSkipped = "skipped"
)

const (
	testTimeout  = 5 * time.Second
	maxExplained = 50 // failures that are run again to find out what was expected
)

// Test runs the rules of a set whose names begin with test_ as OPA's own tester does, beside the shipped rules and under the
// restrictions of a server. Those that begin with todo_test_ are not run and do not fail. An error means that the set is not
// valid, or that ctx ended.
func Test(ctx context.Context, set Set, o TestOptions) (Tested, error) {
	if _, err := Compile(ctx, set, o.CompileOptions); err != nil {
		return Tested{}, err // as a server would say it
	}
	if _, err := regexp.Compile(o.Filter); err != nil {
		return Tested{}, core.Errorf(core.ErrInvalid, "Filter is not a regular expression").Because(err)
	}
	if o.Timeout == 0 {
		o.Timeout = testTimeout
	}
	if o.Parallel == 0 {
		o.Parallel = runtime.GOMAXPROCS(0)
	}
	s, err := newSuite(ctx, set, o)
	if err != nil {
		return Tested{}, err
	}
	defer s.store.Abort(context.WithoutCancel(ctx), s.txn)
	covered := cover.New()
	results, err := s.run(ctx, s.runner(o.Filter).SetModules(s.modules).SetCoverageQueryTracer(covered).SetCoverageRuns(nil))
	if err != nil {
		return Tested{}, err
	}
	tested := Tested{PolicyTests: wire.PolicyTests{Failed: []wire.PolicyTestFailure{}}, Tests: []TestRun{}}
	for _, r := range results {
		tested.add(r)
		if !r.Pass() && !r.Skip {
			tested.Failed = append(tested.Failed, s.failures(ctx, r, len(tested.Failed) < maxExplained)...)
		}
	}
	tested.Coverage, tested.Files = coverage(covered, s.rules)
	return tested, nil
}

func (t *Tested) add(r *tester.Result) {
	run := TestRun{Test: testName(r), Location: place(r.Location), Outcome: testPassed, Duration: r.Duration, Output: strings.TrimSpace(string(r.Output))}
	switch {
	case r.Skip:
		run.Outcome = testSkipped
	case r.Error != nil:
		run.Outcome = testError
	case r.Fail:
		run.Outcome = testFailed
	}
	leaves := 0
	for _, sub := range r.SubResults.Iter {
		if len(sub.SubResults) == 0 {
			leaves++
			if !sub.Fail && !r.Skip && r.Error == nil {
				t.Passed++
			}
		}
	}
	if leaves == 0 && r.Pass() {
		t.Passed++
	}
	t.Tests = append(t.Tests, run)
}

// Skipped is how many tests are to be done yet.
func (t *Tested) Skipped() int {
	n := 0
	for _, run := range t.Tests {
		if run.Outcome == testSkipped {
			n++
		}
	}
	return n
}

func testName(r *tester.Result) string { return strings.TrimPrefix(r.Package, "data.") + "." + r.Name }

// suite is a set with its tests, compiled.
type suite struct {
	options  TestOptions
	modules  map[string]*ast.Module
	rules    map[string]*ast.Module // those that decide, by the name of their file: what is to be covered
	compiler *ast.Compiler
	store    storage.Store
	txn      storage.Transaction
}

func newSuite(ctx context.Context, set Set, o TestOptions) (*suite, error) {
	modules, err := parse(set)
	if err != nil {
		return nil, err
	}
	s := &suite{options: o, modules: modules, rules: map[string]*ast.Module{}}
	for _, name := range set.rules() {
		s.rules[name] = modules["set/"+name]
	}
	for _, name := range slices.Sorted(maps.Keys(set.Modules)) {
		if s.rules[name] == nil {
			m, err := ast.ParseModuleWithOpts(name, set.Modules[name], regoV1())
			if err != nil {
				return nil, refused(err)
			}
			if rule := redefinition(m); rule != nil {
				return nil, fault(rule.Location, "the packages dynconfig.acl and dynconfig.config are the server's own")
			}
			modules["set/"+name] = m
		}
	}
	// Coverage goes by the names of files: the set may have an acl.rego, too.
	text, err := shipped.ReadFile("acl.rego")
	if err != nil {
		return nil, err
	}
	if modules["shipped/acl.rego"], err = ast.ParseModuleWithOpts("shipped:acl.rego", string(text), regoV1()); err != nil {
		return nil, err
	}
	if s.store, err = dataOf(set, o.Admins); err != nil {
		return nil, err
	}
	if s.txn, err = s.store.NewTransaction(ctx); err != nil {
		return nil, err
	}
	s.compiler = ast.NewCompiler().WithStrict(true).WithCapabilities(capabilities(o.Hosts)).WithEnablePrintStatements(true).
		WithPathConflictsCheck(storage.NonEmpty(ctx, s.store, s.txn))
	return s, nil
}

// runner returns one that compiles only if it is given modules.
func (s *suite) runner(filter string) *tester.Runner {
	return tester.NewRunner().SetCompiler(s.compiler).SetStore(s.store).SetTimeout(s.options.Timeout).
		SetParallel(s.options.Parallel).RaiseBuiltinErrors(true).Filter(filter)
}

// run returns the results by file and line.
func (s *suite) run(ctx context.Context, r *tester.Runner) ([]*tester.Result, error) {
	found, err := r.RunTests(ctx, s.txn)
	if err != nil {
		return nil, refused(err)
	}
	var results []*tester.Result
	for one := range found {
		results = append(results, one)
	}
	if ctx.Err() != nil {
		return nil, core.Errorf(core.ErrUnavailable, "The tests were not waited for").Because(ctx.Err())
	}
	slices.SortStableFunc(results, func(a, b *tester.Result) int { return a.Location.Compare(b.Location) })
	return results, nil
}
