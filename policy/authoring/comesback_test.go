package authoring_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy/authoring"
	"github.com/dynconfig/dynconfig/wire"
)

func TestASetDoesNotWaitToBeConfirmedWhereTheOneBeforeCouldNotComeBack(t *testing.T) {
	for name, value := range map[string]string{
		"another version's": `{"modules":{"a.rego":"package dynconfig.authz\ndecision := later.builtin(1)"}}`,
		"locked":            `{"modules":{"a.rego":"package dynconfig.authz\ndecision := {\"allow\":false,\"rule\":\"x\"}"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := deploy()
				a := d.start(t, settings{Options: authoring.Options{Rescue: true}})
				if _, err := a.engine.RevertPolicy(t.Context(), core.PolicyWrite{Value: []byte(value)}); err != nil {
					t.Fatal(err)
				}
				for _, dry := range []bool{true, false} {
					_, err := a.Put(t.Context(), admin, without("delete"), wire.PutPolicy{Confirm: time.Minute, DryRun: dry})
					refused(t, err, core.ErrInvalid, "put this one without confirm")
				}
				a.put(t, without("delete"), wire.PutPolicy{})
				a.put(t, without("write"), wire.PutPolicy{Confirm: time.Minute})
				b := d.start(t, settings{})
				time.Sleep(2 * time.Minute)
				if !b.forbids(t, core.ActionDelete) || b.forbids(t, core.ActionWrite) {
					t.Errorf("it is %+v", b.state(t))
				}
			})
		})
	}
}

func TestWhatIsWrongWithAStoredSetIsNotToldToWhoMayNotConfirm(t *testing.T) {
	a := deploy().start(t, settings{})
	if _, err := a.engine.RevertPolicy(t.Context(), core.PolicyWrite{Value: []byte(`{"modules":{"secret.rego":"package secret\nx := later(1)"}}`)}); err != nil {
		t.Fatal(err)
	}
	_, err := a.Confirm(t.Context(), who("mallory"), "x:1")
	refused(t, err, core.ErrForbidden, "This is for server admins")
	_, err = a.Confirm(t.Context(), admin, "x:1")
	refused(t, err, core.ErrInvalid, "secret.rego")
}
