package authoring_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy/authoring"
	"github.com/dynconfig/dynconfig/wire"
)

func TestASetThatIsNotConfirmedInTimeMakesRoomForTheLastConfirmedOneOnEveryNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deploy()
		a, b := d.start(t, settings{}), d.start(t, settings{})
		a.put(t, without("delete"), wire.PutPolicy{})
		end := time.Now().Add(time.Minute)
		first := a.put(t, without("create"), wire.PutPolicy{Confirm: time.Minute})
		if first.ConfirmBy == nil || !first.ConfirmBy.Equal(end) {
			t.Errorf("it is to be confirmed by %v, want %v", first.ConfirmBy, end)
		}
		time.Sleep(30 * time.Second)
		a.put(t, without("write"), wire.PutPolicy{Confirm: time.Minute}) // in its place, and for as long again
		time.Sleep(50 * time.Second)
		if !b.forbids(t, core.ActionWrite) || b.state(t).ConfirmBy == nil {
			t.Error("it does not wait to be confirmed elsewhere")
		}
		time.Sleep(10*time.Second + soon)
		for _, n := range []*node{a, b} {
			if s := n.state(t); !n.forbids(t, core.ActionDelete) || n.forbids(t, core.ActionWrite) || s.ConfirmBy != nil || s.Author != "dynconfig" {
				t.Errorf("at the end it is %+v", s)
			}
		}
		h, err := b.History(t.Context(), admin, 0)
		if err != nil || len(h.Versions) != 4 || h.Versions[0].Event != "revert" {
			t.Errorf("history is %+v, %v", h, err)
		}
	})
}

func TestTheFirstSetMakesRoomForTheShippedRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := deploy().start(t, settings{})
		a.put(t, without("delete"), wire.PutPolicy{Confirm: time.Second})
		time.Sleep(time.Second + soon)
		if s := a.state(t); a.forbids(t, core.ActionDelete) || len(s.Modules) != 0 {
			t.Errorf("it is %+v", s)
		}
	})
}

func TestAConfirmedSetStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deploy()
		a, b := d.start(t, settings{}), d.start(t, settings{})
		put := a.put(t, without("delete"), wire.PutPolicy{Confirm: time.Minute})
		_, err := b.Confirm(t.Context(), admin, "x:1")
		refused(t, err, core.ErrConflict, "another revision")
		generation := b.authorizer.Generation()
		s, err := b.Confirm(t.Context(), admin, put.Revision)
		if err != nil || s.ConfirmBy != nil || s.Revision == put.Revision {
			t.Errorf("confirmed: %+v, %v", s, err)
		}
		_, err = b.Confirm(t.Context(), admin, s.Revision)
		refused(t, err, core.ErrConflict, "does not wait")
		time.Sleep(2 * time.Minute)
		for _, n := range []*node{a, b} {
			if got := n.state(t); got.Revision != s.Revision || !n.forbids(t, core.ActionDelete) {
				t.Errorf("it is %+v", got)
			}
		}
		if b.authorizer.Generation() > generation+1 {
			t.Error("what decides is called another although nothing changed")
		}
	})
}

func TestASetIsConfirmedByThoseWhoMayUnderIt(t *testing.T) {
	a := deploy().start(t, settings{admins: []string{"admin-user", "ann"}})
	set := wire.PolicySet{Modules: map[string]string{"a.rego": `package dynconfig.authz
decision := {"allow": true, "rule": "ann"} if input.subject.username == "ann"
`}}
	put, err := a.Put(t.Context(), who("ann"), set, wire.PutPolicy{Confirm: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Confirm(t.Context(), admin, put.Revision)
	refused(t, err, core.ErrForbidden, "")
	if _, err := a.Confirm(t.Context(), who("ann"), put.Revision); err != nil {
		t.Error(err)
	}
}

func TestASetIsNotConfirmedWhereItWouldLockTheServersAdminsOut(t *testing.T) {
	d := deploy()
	a := d.start(t, settings{})
	set := wire.PolicySet{Modules: map[string]string{"a.rego": `package dynconfig.authz
decision := {"allow": true, "rule": "named"} if input.subject.username in {"admin-user", "ann"}
`}}
	put := a.put(t, set, wire.PutPolicy{Confirm: time.Hour})
	b := d.start(t, settings{admins: []string{"joe"}, Options: authoring.Options{Rescue: true}})
	_, err := b.Confirm(t.Context(), who("joe"), put.Revision)
	refused(t, err, core.ErrConflict, "shipped rules")
	if _, err := d.open(t, settings{admins: []string{"joe"}}); err == nil {
		t.Error("a node starts whose admins are locked out")
	}
}

func TestASetThatWasNotConfirmedIsGoneThoughNobodyRanInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deploy()
		a := d.start(t, settings{})
		a.put(t, without("delete"), wire.PutPolicy{})
		a.put(t, without("create"), wire.PutPolicy{Confirm: time.Minute})
		a.stop()
		time.Sleep(time.Hour)
		b, err := d.open(t, settings{})
		if err != nil {
			t.Fatal(err)
		}
		if b.forbids(t, core.ActionCreate) || !b.forbids(t, core.ActionDelete) {
			t.Errorf("it is %+v", b.state(t))
		}
	})
}

func TestTheTimeToConfirmIsFromASecondToADay(t *testing.T) {
	a := deploy().start(t, settings{})
	for _, d := range []time.Duration{-time.Second, time.Millisecond, 24*time.Hour + 1} {
		_, err := a.Put(t.Context(), admin, without("delete"), wire.PutPolicy{Confirm: d})
		refused(t, err, core.ErrInvalid, "confirmed")
	}
}
