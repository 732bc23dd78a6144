package authoring_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/policy/authoring"
	"github.com/dynconfig/dynconfig/wire"
)

// interrupted is a Sandbox in which every set passes, and something happens meanwhile.
type interrupted struct {
	authoring.Sandbox
	meanwhile func()
}

func (interrupted) Check(context.Context, wire.PolicySet, *core.Caller) (policy.Verdict, error) {
	return policy.Verdict{}, nil
}

func (i interrupted) Test(context.Context, wire.PolicySet) (wire.PolicyTests, error) {
	i.meanwhile()
	return wire.PolicyTests{}, nil
}

func TestAChangeThatLostARaceIsMadeAgainUnlessItHangsOnARevision(t *testing.T) {
	d := deploy()
	other := d.start(t, settings{})
	meanwhile := interrupted{meanwhile: func() { other.put(t, without("write"), wire.PutPolicy{}) }}
	a := d.start(t, settings{Options: authoring.Options{Sandbox: meanwhile}})
	seen := other.state(t).Revision
	_, err := a.Put(t.Context(), admin, without("delete"), wire.PutPolicy{PolicyCondition: wire.PolicyCondition{IfMatch: []string{seen}}})
	refused(t, err, core.ErrPrecondition, "another revision")
	if _, err = a.Put(t.Context(), admin, without("delete"), wire.PutPolicy{}); err != nil {
		t.Fatal(err)
	}
	if a.forbids(t, core.ActionWrite) || !a.forbids(t, core.ActionDelete) {
		t.Errorf("it is %+v", a.state(t))
	}
	if _, err = a.Rollback(t.Context(), admin, seen, wire.RollbackPolicy{Note: "to the shipped rules"}); err != nil {
		t.Fatal(err)
	}
	if s := a.state(t); a.forbids(t, core.ActionDelete) || len(s.Modules) != 0 {
		t.Errorf("after a rollback to the shipped rules it is %+v", s)
	}
}

func TestOfManyWhoPutAtOnceEachIsInForceInTurnAndNodesAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deploy()
		nodes := []*node{d.start(t, settings{}), d.start(t, settings{}), d.start(t, settings{})}
		var stored atomic.Int64
		var answered sync.Map // revisions
		var all sync.WaitGroup
		for i := range 12 {
			all.Go(func() {
				set := without([]string{"delete", "write", "create"}[i%3])
				s, err := nodes[i%3].Put(t.Context(), admin, set, wire.PutPolicy{})
				if _, twice := answered.LoadOrStore(s.Revision, true); twice || err != nil || s.Modules["authz.rego"] != set.Modules["authz.rego"] {
					t.Errorf("answered %+v, %v", s, err)
				}
				stored.Add(1)
			})
		}
		all.Wait()
		synctest.Wait()
		h, err := nodes[0].History(t.Context(), admin, 0)
		if err != nil || int64(len(h.Versions)) != stored.Load() || stored.Load() == 0 {
			t.Fatalf("%d are stored and %d in the history, %v", stored.Load(), len(h.Versions), err)
		}
		for _, n := range nodes {
			if s := n.state(t); s.Revision != h.Versions[0].Revision {
				t.Errorf("a node is at %s, the newest is %s", s.Revision, h.Versions[0].Revision)
			}
		}
	})
}
