package core_test

import (
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

func TestWhatACallerSeesIsThereAndReadableAndLookingIsNoDenial(t *testing.T) {
	w := start(t, core.Options{})
	for _, name := range []string{"k", "gone"} {
		p := put(name, "1")
		p.SetACL, p.ACL = true, &core.ACL{Read: []string{"bob"}}
		w.write(t, "root", p)
	}
	w.write(t, "root", core.Write{Op: core.WriteDelete, Kind: core.KindKey, Name: "gone"})
	before := len(w.audit.all())
	for _, c := range []struct {
		who, name string
		want      bool
	}{{"bob", "k", true}, {"eve", "k", false}, {"bob", "gone", false}, {"bob", "absent", false}} {
		if got, err := w.Sees(w.ctx, as(c.who), core.KindKey, c.name); got != c.want || err != nil {
			t.Errorf("%s sees %s: %v, %v, want %v", c.who, c.name, got, err, c.want)
		}
	}
	if n := len(w.audit.all()) - before; n != 0 {
		t.Errorf("%d records of it", n)
	}
}
