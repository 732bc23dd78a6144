package core_test

import (
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

func TestWhatWasNeverShownIsNotRevokedAlsoWhereSomethingElseBeginsAnew(t *testing.T) {
	w := start(t, core.Options{})
	space := func(readers ...string) core.Write {
		return core.Write{Op: core.WritePut, Kind: core.KindNamespace, Name: "app", SetACL: true, ACL: &core.ACL{Read: readers}}
	}
	first := put("k", `"secret"`)
	first.SetACL, first.ACL = true, &core.ACL{Read: []string{"bob"}}
	open := put("open", "1")
	open.SetACL, open.ACL = true, &core.ACL{Read: []string{"*"}}
	s := w.stream(t, "bob")
	s.w.Subscribe(sub("app.*", "k", "open"))
	s.expect("subscribed")
	other := w.stream(t, "root")
	other.w.Subscribe(sub("open"))
	other.expect("subscribed")
	w.write(t, "root", first) // bob's stream is not read meanwhile
	w.write(t, "root", space("bob"))
	w.write(t, "root", core.Write{Op: core.WritePatch, Kind: core.KindKey, Name: "k", SetACL: true, ACL: &core.ACL{Read: []string{"eve"}}})
	w.write(t, "root", open)
	other.expect("update open 1")
	s.expect("update open 1", "reset", "bookmark synced")
}
