package core_test

import (
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

func TestNamespacesGrantWhatKeysDoNotSay(t *testing.T) {
	w := start(t, core.Options{})
	w.write(t, "root", put("app.ui.k", "1"))
	_, err := w.read("bob", "app.ui.k")
	want(t, err, core.ErrForbidden)
	ns := core.Write{Op: core.WritePut, Kind: core.KindNamespace, Name: "app", SetACL: true, ACL: &core.ACL{Read: []string{"bob"}}}
	w.write(t, "root", ns)
	if _, err = w.read("bob", "app.ui.k"); err != nil {
		t.Errorf("got %v", err)
	}
	inner := ns
	inner.Name, inner.ACL = "app.ui", &core.ACL{Read: []string{}}
	w.write(t, "root", inner)
	_, err = w.read("bob", "app.ui.k")
	want(t, err, core.ErrForbidden)
	w.write(t, "root", core.Write{Op: core.WriteDelete, Kind: core.KindNamespace, Name: "app.ui"})
	if _, err = w.read("bob", "app.ui.k"); err != nil {
		t.Errorf("the next namespace outwards does not govern: %v", err)
	}
}

func TestADeletedNamespaceRecordRulesNothing(t *testing.T) {
	w := start(t, core.Options{})
	record := core.Write{Op: core.WritePut, Kind: core.KindNamespace, Name: "app", SetACL: true, ACL: &core.ACL{Admin: []string{"bob"}}}
	w.write(t, "root", record)
	w.write(t, "bob", record)
	w.write(t, "root", core.Write{Op: core.WriteDelete, Kind: core.KindNamespace, Name: "app"})
	_, err := w.Write(w.ctx, as("bob"), core.Request{Writes: []core.Write{record}})
	want(t, err, core.ErrForbidden)
	w.write(t, "root", core.Write{Op: core.WritePut, Kind: core.KindNamespace, Name: "app"})
	_, err = w.Write(w.ctx, as("bob"), core.Request{Writes: []core.Write{record}})
	want(t, err, core.ErrForbidden)
}
