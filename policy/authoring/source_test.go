package authoring_test

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/policy/authoring"
	"github.com/dynconfig/dynconfig/policy/source"
	"github.com/dynconfig/dynconfig/wire"
)

// shelf is a Source that holds what it is given.
type shelf struct {
	mu  sync.Mutex
	set policy.Set
	err error
}

var _ source.Source = (*shelf)(nil)

func (*shelf) Kind() string         { return "directory" }
func (*shelf) Every() time.Duration { return time.Second }

func (s *shelf) Read(context.Context) (policy.Set, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set, s.err
}

func (s *shelf) hold(revision string, set wire.PolicySet, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set, s.err = policy.Set{Modules: set.Modules, Revision: revision}, err
}

func (s *shelf) options() settings { return settings{Options: authoring.Options{Source: s}} }

func TestASourceDecidesFromTheStartAndWhenItChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		s.hold("one", without("delete"), nil)
		a := deploy().start(t, s.options())
		if is := a.state(t); is.Source != "directory" || is.Revision != "one" || !a.forbids(t, core.ActionDelete) {
			t.Errorf("it is %+v", is)
		}
		s.hold("two", without("write"), nil)
		time.Sleep(2 * time.Second)
		if is := a.state(t); is.Revision != "two" || !a.forbids(t, core.ActionWrite) {
			t.Errorf("it is %+v", is)
		}
	})
}

func TestASourceThatFailsLeavesTheLastGoodSetAndShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		s.hold("good", without("delete"), nil)
		a := deploy().start(t, s.options())
		for name, c := range map[string]struct {
			set  wire.PolicySet
			err  error
			says string
		}{
			"away":       {wire.PolicySet{}, core.Errorf(core.ErrUnavailable, "It is away"), "It is away"},
			"no Rego":    {wire.PolicySet{Modules: map[string]string{"a.rego": "package"}}, nil, "Policy does not compile: a.rego:1: unexpected eof token"},
			"test fails": {wire.PolicySet{Modules: map[string]string{"a.rego": shippedFirst, "a_test.rego": "package t\ntest_a if false"}}, nil, "1 of the policy's tests failed, the first at a_test.rego:2: t.test_a"},
			"lockout": {closed, nil, "This policy would lock everybody out: none of ADMINS, without claims, could change it back: " +
				`it denies "read" of the policy to admin-user by rule closed`},
		} {
			s.hold(name, c.set, c.err)
			time.Sleep(3 * time.Second)
			is := a.state(t)
			if is.Revision != "good" || is.LastError != c.says || a.Health() != core.Degraded || !a.forbids(t, core.ActionDelete) {
				t.Errorf("%s: it is %s, %+v", name, a.Health(), is)
			}
			s.hold("good", without("delete"), nil)
			time.Sleep(time.Minute)
			if is := a.state(t); is.LastError != "" || a.Health() != core.Healthy {
				t.Errorf("after %s: it is %s, %+v", name, a.Health(), is)
			}
		}
	})
}

func TestASetThatWasRefusedIsTriedAgainAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		s.hold("good", without("delete"), nil)
		a := deploy().start(t, s.options())
		begins := strconv.FormatInt(time.Now().Add(90*time.Second).UnixNano(), 10)
		s.hold("later", wire.PolicySet{Modules: map[string]string{"a.rego": `package dynconfig.authz
decision := data.dynconfig.acl.decision if time.now_ns() >= ` + begins + `
`}}, nil)
		time.Sleep(89 * time.Second)
		if is := a.state(t); is.Revision != "good" || is.LastError == "" {
			t.Errorf("before its time it is %+v", is)
		}
		time.Sleep(2 * time.Minute)
		if is := a.state(t); is.Revision != "later" || is.LastError != "" {
			t.Errorf("in its time it is %+v", is)
		}
	})
}

func TestAStartWithASourceThatIsNotFitIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		set  wire.PolicySet
		err  error
		says string
	}{
		"away":    {wire.PolicySet{}, core.Errorf(core.ErrInvalid, "It is away"), "It is away"},
		"no Rego": {wire.PolicySet{Modules: map[string]string{"a.rego": "package"}}, nil, "a.rego:1"},
		"tests":   {wire.PolicySet{Modules: map[string]string{"a.rego": shippedFirst, "a_test.rego": "package t\ntest_a if false"}}, nil, "a_test.rego:2"},
		"lockout": {closed, nil, "lock everybody out"},
	} {
		s := &shelf{}
		s.hold("one", c.set, c.err)
		_, err := deploy().open(t, s.options())
		t.Run(name, func(t *testing.T) { refused(t, err, core.ErrInvalid, c.says) })
	}
}

func TestWhereASourceDecidesNothingIsChangedThroughTheServer(t *testing.T) {
	d := deploy()
	stored := d.start(t, settings{}).put(t, without("write"), wire.PutPolicy{})
	s := &shelf{}
	s.hold("one", without("delete"), nil)
	a := d.start(t, s.options())
	_, err := a.Put(t.Context(), admin, without("create"), wire.PutPolicy{})
	refused(t, err, core.ErrConflict, "comes from a directory")
	_, err = a.Rollback(t.Context(), admin, stored.Revision, wire.RollbackPolicy{})
	refused(t, err, core.ErrConflict, "comes from a directory")
	_, err = a.Confirm(t.Context(), admin, stored.Revision)
	refused(t, err, core.ErrConflict, "comes from a directory")
	if a.forbids(t, core.ActionWrite) {
		t.Error("what is stored decides, too")
	}
}

func TestAStoredSetThatDoesNotLoadStopsTheStartAndNamesTheWayIn(t *testing.T) {
	d := deploy()
	a := d.start(t, settings{})
	for name, value := range map[string]string{
		"another version's": `{"modules":{"a.rego":"package dynconfig.authz\ndecision := later.builtin(1)"}}`,
		"of another form":   `[]`,
		"locked":            `{"modules":{"a.rego":"package dynconfig.authz\ndecision := {\"allow\":false,\"rule\":\"x\"}"}}`,
	} {
		held, err := a.engine.Policy(t.Context(), core.PolicySet)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.engine.RevertPolicy(t.Context(), core.PolicyWrite{Value: []byte(value), Version: held.Version}); err != nil {
			t.Fatal(err)
		}
		_, err = d.open(t, settings{})
		t.Run(name, func(t *testing.T) { refused(t, err, core.ErrInvalid, "--policy shipped") })
	}
}

func TestANodeThatCannotLoadWhatIsStoredKeepsTheLastGoodSetAndShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deploy()
		a := d.start(t, settings{})
		good := a.put(t, without("delete"), wire.PutPolicy{})
		if _, err := a.engine.RevertPolicy(t.Context(), core.PolicyWrite{Value: []byte(`{"modules":{"a.rego":"package later\nx := later(1)"}}`), Version: 1}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(soon)
		if s := a.state(t); s.Revision != good.Revision || s.LastError == "" || a.Health() != core.Degraded || !a.forbids(t, core.ActionDelete) {
			t.Errorf("it is %s, %+v", a.Health(), s)
		}
		a.put(t, without("write"), wire.PutPolicy{})
		if s := a.state(t); s.LastError != "" || a.Health() != core.Healthy {
			t.Errorf("with the next one it is %s, %+v", a.Health(), s)
		}
	})
}

func TestARescuedNodeDecidesByTheShippedRulesAndTakesANewSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deploy()
		a := d.start(t, settings{})
		a.put(t, without("delete"), wire.PutPolicy{})
		b := d.start(t, settings{Options: authoring.Options{Rescue: true}})
		if s := b.state(t); s.Source != "shipped" || !s.Rescue || b.Health() != core.Degraded || b.forbids(t, core.ActionDelete) {
			t.Errorf("rescued: %s, %+v", b.Health(), s)
		}
		b.put(t, without("write"), wire.PutPolicy{PolicyCondition: wire.PolicyCondition{IfMatch: []string{b.state(t).Revision}}})
		time.Sleep(soon)
		if !a.forbids(t, core.ActionWrite) || a.forbids(t, core.ActionDelete) || b.forbids(t, core.ActionWrite) {
			t.Error("what was put where the shipped rules decide is not in force elsewhere, or is here")
		}
	})
}

func TestWhatDecidesIsMarkedInTheLogWhenItBecomesAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deploy()
		mark := func(n *node) string {
			held, err := n.engine.Policy(t.Context(), core.PolicyInForce)
			if err != nil {
				t.Fatal(err)
			}
			return string(held.Doc.Value)
		}
		a := d.start(t, settings{})
		shipped := mark(a)
		head := a.engine.Head()
		again := d.start(t, settings{})
		if mark(again) != shipped || shipped == "" || a.engine.Head() != head {
			t.Error("a node that decides as before marks something")
		}
		a.put(t, without("delete"), wire.PutPolicy{})
		put := mark(a)
		if put == shipped || a.engine.Head().Revision != head.Revision+1 {
			t.Error("a set that is put is not marked with its commit")
		}
		time.Sleep(soon)
		if mark(again) != put || again.engine.Head().Revision != head.Revision+1 {
			t.Error("a node that follows marks something")
		}
		same := a.put(t, without("delete"), wire.PutPolicy{})
		if s := a.state(t); mark(a) != put || s.Revision != same.Revision || a.engine.Head().Revision != head.Revision+2 {
			t.Error("a set that is put once more is not marked as the same")
		}
		if held, err := a.engine.Policy(t.Context(), core.PolicyInForce); err != nil || held.Version != 2 {
			t.Errorf("a set that is put once more is marked again: %+v, %v", held, err)
		}
		s := &shelf{}
		s.hold("one", without("write"), nil)
		b := d.start(t, s.options())
		one := mark(b)
		s.hold("two", without("create"), nil)
		time.Sleep(2 * time.Second)
		if one == put || mark(b) == one {
			t.Error("another set of a source is not marked")
		}
		if mark(d.start(t, settings{admins: []string{"admin-user", "ann"}})) == put {
			t.Error("other admins are not marked")
		}
	})
}

// stopped is a store that takes no commits while it is told so.
type stopped struct {
	core.Store
	now atomic.Bool
}

func (s *stopped) Commit(ctx context.Context, txn core.Txn) (core.Commit, error) {
	if s.now.Load() {
		return core.Commit{}, core.Errorf(core.ErrUnavailable, "The store is away")
	}
	return s.Store.Commit(ctx, txn)
}

func TestAMarkThatTheStoreDoesNotTakeStopsNothingAndIsMadeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := &stopped{Store: memory.Open(memory.Options{}).Store}
		s := &shelf{}
		s.hold("one", without("delete"), nil)
		set := s.options()
		set.store = away
		a := deploy().start(t, set)
		away.now.Store(true)
		s.hold("two", without("write"), nil)
		time.Sleep(30 * time.Second)
		if !a.forbids(t, core.ActionWrite) {
			t.Errorf("it is %+v", a.state(t))
		}
		away.now.Store(false)
		time.Sleep(time.Minute)
		held, err := a.engine.Policy(t.Context(), core.PolicyInForce)
		if err != nil || string(held.Doc.Value) != a.authorizer.Digest(a.authorizer.Set()) {
			t.Errorf("the mark is %q, %v", held.Doc.Value, err)
		}
	})
}
