// Package conformance proves that a backend keeps the promises of package core. A backend's whole test file is the calls
// of this package:
//
//	func TestConformance(t *testing.T)  { conformance.Run(t, open, options) }
//	func TestModel(t *testing.T)        { conformance.RunModel(t, open, options) }
//	func TestLinearizable(t *testing.T) { conformance.RunLinearizable(t, open, options) }
//	func BenchmarkStore(b *testing.B)   { conformance.Bench(b, open, options) }
//
// The names of the tests are the promises. Those that look for races or walk at random take a time budget, a few seconds
// each; the environment variable DYNCONFIG_SOAK, a Go duration such as 10m, sets another.
package conformance

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/dynconfig/dynconfig/core"
)

// Opener opens a backend over a new, empty store. The suite closes it; what else it needs it cleans up through t.
type Opener func(t testing.TB) *core.Backend

// Options are what a backend has beside Open; the zero value works for one that is in memory and in one process.
type Options struct {
	// Peer opens the store of b once more, as a second node does. nil: only one process may have it.
	Peer func(t testing.TB, b *core.Backend) *core.Backend
	// Reopen closes b and opens its store again, as a restart does. nil: nothing outlives the process.
	Reopen func(t testing.TB, b *core.Backend) *core.Backend
	// Break kills what keeps the store (a server, a connection) and starts it again; b goes on to work afterwards. It is
	// called while b is in use. nil: there is nothing to kill.
	Break func(t testing.TB, b *core.Backend)
	// Alone opens a backend whose store nobody else uses, for tests that call Reopen or Break, where Opener opens backends
	// that share a server. nil: Opener does.
	Alone Opener
	// Known lists the promises that this backend is known to break, each with the reason. One that is kept after all fails
	// the run.
	Known map[string]string

	// sick is set where the backend is broken on purpose: it is looked at more often, and what will not come is not awaited
	// for long.
	sick bool
}

// promise is one test of the suite.
type promise struct {
	name  string
	needs need
	test  func(t testing.TB, s *subject)
}

// need is a set of what a backend must have for a promise to concern it.
type need uint8

const (
	needsPeer need = 1 << iota
	needsReopen
	needsBreak
	needsBus
	needsCache
	needsLimiter
)

func (n need) String() string {
	var names []string
	for i, name := range []string{"Options.Peer", "Options.Reopen", "Options.Break", "a Bus", "a Cache", "a Limiter"} {
		if n&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " and ")
}

// promises returns the whole suite, topic by topic.
func promises() []promise {
	var all []promise
	for _, topic := range [][]promise{
		commitPromises, checkPromises, repeatPromises, limitPromises,
		readPromises, listPromises, logPromises, historyPromises, compactPromises,
		orderPromises, lifePromises, durablePromises,
		busPromises, enginePromises, cachePromises, limiterPromises,
	} {
		all = append(all, topic...)
	}
	return all
}

// Run holds a backend to every promise that concerns it, each on a backend of its own, and then asks whether a goroutine
// is left.
func Run(t *testing.T, open Opener, o Options) {
	before := goleak.IgnoreCurrent()
	has := abilities(t, open, o)
	t.Run("promise", func(t *testing.T) {
		for _, p := range promises() {
			if lacks := p.needs &^ has; lacks != 0 {
				t.Logf("does not concern this backend, which lacks %s: %s", lacks, p.name)
				continue
			}
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				open := open
				if o.Alone != nil && p.needs&(needsReopen|needsBreak) != 0 {
					open = o.Alone
				}
				if why, known := o.Known[p.name]; known {
					failsAsKnown(t, p, open, o, why)
					return
				}
				p.test(t, newSubject(t, open, o))
			})
		}
	})
	t.Run("no goroutine is left", func(t *testing.T) {
		if err := leak(before); err != nil {
			t.Error(err)
		}
	})
	for name := range o.Known {
		if !concerns(name, has) {
			t.Errorf("Options.Known names %q, which is no promise of the suite that concerns this backend", name)
		}
	}
}

// abilities opens a backend to see which optional parts it has.
func abilities(t testing.TB, open Opener, o Options) need {
	b := open(t)
	defer func() { _ = b.Close() }()
	var has need
	for n, there := range map[need]bool{
		needsPeer: o.Peer != nil, needsReopen: o.Reopen != nil, needsBreak: o.Break != nil,
		needsBus: b.Bus != nil, needsCache: b.Cache != nil, needsLimiter: b.Limiter != nil,
	} {
		if there {
			has |= n
		}
	}
	return has
}

func concerns(name string, has need) bool {
	for _, p := range promises() {
		if p.name == name {
			return p.needs&^has == 0
		}
	}
	return false
}

// failsAsKnown runs a promise that is known to be broken, and fails if it is kept.
func failsAsKnown(t testing.TB, p promise, open Opener, o Options, why string) {
	t.Helper()
	if failures := record(t, func(t testing.TB) { p.test(t, newSubject(t, open, o)) }); failures == nil {
		t.Errorf("is listed as broken (%s), but it is kept: take it off the list", why)
	} else {
		t.Logf("broken, as is known (%s):\n%s", why, strings.Join(failures, "\n"))
	}
}
