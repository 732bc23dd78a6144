package core

import "testing"

func TestTheHubRestsWhenTheRingIsEmptyAndReadsThePolicysGenerationInOrder(t *testing.T) {
	tail := &tail{}
	tail.applied.Store(5) // as after a log was loaded anew: nothing of it has passed through the ring
	var h *hub
	h = newHub(tail, "e", func() uint64 {
		if h.mu.TryLock() {
			h.mu.Unlock()
			t.Error("the generation is read without the lock: of two who read it, the one with the older may be the later")
		}
		return 1
	})
	if h.step() {
		t.Error("the hub finds something to do in an empty ring")
	}
	h.dispatched = 9 // of the log of before
	if h.step() || h.dispatched != 9 {
		t.Errorf("the hub goes on at %d although nothing says so", h.dispatched)
	}
	h.govern()
}

// While the log is loaded anew there is a time when the engine is of the new epoch and what is still put out is of the old.
func TestAnEventNamesTheEpochOfItsRevision(t *testing.T) {
	tail := &tail{}
	tail.applied.Store(9)
	e := &Engine{hub: newHub(tail, "old", func() uint64 { return 1 })}
	w := &Watcher{engine: e, notify: func() {}, epoch: "old", position: 9}
	e.hub.add(w)
	fresh := "new"
	e.epoch.Store(&fresh)
	if at := w.at(w.seen()); at.String() != "old:9" {
		t.Errorf("before the hub knows of it, an event is at %v", at)
	}
	e.hub.reset("new", 3)
	if at := w.at(w.seen()); at.String() != "old:9" || !w.anew.Load() {
		t.Errorf("before it begins anew, an event is at %v", at)
	}
	if _, at, _ := w.follow(nil, false); w.at(at).String() != "new:3" {
		t.Errorf("of the new log, an event is at %v", w.at(at))
	}
}
