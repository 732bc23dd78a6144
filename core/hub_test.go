package core

import "testing"

func TestTheHubRestsWhenTheRingIsEmptyAndReadsThePolicysGenerationInOrder(t *testing.T) {
	tail := &tail{}
	tail.applied.Store(5) // as after a log was loaded anew: nothing of it has passed through the ring
	var h *hub
	h = newHub(tail, func() uint64 {
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
