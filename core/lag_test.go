package core_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

func TestWithoutHintsANodeLagsTwoSecondsBehindOthersAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := shared(true)
		a, b := startOn(t, one, core.Options{}), startOn(t, two, core.Options{})
		s := b.stream(t, "root")
		s.w.Subscribe(core.Subscription{Patterns: []string{"*"}, Snapshot: true})
		s.expect("subscribed", "bookmark synced")
		for range 5 {
			time.Sleep(700 * time.Millisecond) // so that writes meet every part of what a node does in turn
			a.write(t, "root", put("k", "1"))
			begin := time.Now()
			s.next()
			if took := time.Since(begin); took > 2*time.Second || b.Head() != a.Head() {
				t.Errorf("heard after %v, at %v instead of %v", took, b.Head(), a.Head())
			}
		}
	})
}
