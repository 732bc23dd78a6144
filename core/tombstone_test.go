package core_test

import (
	"errors"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

func TestATombstoneKeepsVersionAndRules(t *testing.T) {
	w := start(t, core.Options{})
	p := put("k", "1")
	p.SetACL, p.ACL = true, &core.ACL{Read: []string{"bob"}}
	w.write(t, "root", p)
	w.write(t, "root", core.Write{Op: core.WriteDelete, Kind: core.KindKey, Name: "k"})
	_, err := w.read("root", "k")
	want(t, err, core.ErrNotFound)
	r := w.write(t, "root", put("k", "2"))
	if r.Written[0].Version != 3 || !r.Written[0].Created {
		t.Errorf("got %+v, want version 3, created", r.Written[0])
	}
	if _, err := w.read("bob", "k"); err != nil {
		t.Errorf("the tombstone's ACL was not restored: %v", err)
	}
}

func TestWhoeverCreatesAKeyAnewIsAskedForTheRightsThatItsRulesTake(t *testing.T) {
	w := start(t, core.Options{})
	writers, admins := []string{"bob"}, []string{"ann"}
	for _, c := range []struct {
		name     string
		was, now *core.ACL
		want     error
	}{
		{"nothing said", &core.ACL{Write: writers, Admin: admins}, nil, nil},
		{"the same", &core.ACL{Write: writers}, &core.ACL{Write: writers}, nil},
		{"others", &core.ACL{Write: writers}, &core.ACL{Write: writers, Read: writers}, core.ErrForbidden},
		{"the same, with who administers it", &core.ACL{Write: writers, Admin: admins}, &core.ACL{Write: writers, Admin: admins}, core.ErrForbidden},
	} {
		p := put("k", "1")
		p.SetACL, p.ACL = true, c.was
		w.write(t, "root", p)
		w.write(t, "root", core.Write{Op: core.WriteDelete, Kind: core.KindKey, Name: "k"})
		p.SetACL, p.ACL = c.now != nil, c.now
		if _, err := w.Write(w.ctx, as("bob"), core.Request{Writes: []core.Write{p}}); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}
