package conformance

import (
	"context"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

var busPromises = []promise{
	{name: "the first hint says look", needs: needsBus, test: firstHint},
	{name: "hints end with their context and with the backend", needs: needsBus, test: hintsEnd},
	{name: "announce does not wait for a listener", needs: needsBus, test: announceDoesNotWait},
	{name: "a hint of a peer's commit arrives and carries nothing else", needs: needsBus | needsPeer, test: hintArrives},
	{name: "after a cut a hint says look", needs: needsBus | needsBreak, test: hintAfterCut},
}

// listen opens a stream of hints and takes the first.
func listen(ctx context.Context, t testing.TB, b *core.Backend) <-chan core.Hint {
	t.Helper()
	var hints <-chan core.Hint
	err := insist(ctx, func() (err error) {
		hints, err = b.Bus.Listen(ctx)
		return err
	})
	if err != nil {
		t.Fatalf("Listen: %v", err)
	}
	if h, ok := <-hints; !ok || h.Head != 0 || h.Commit != nil {
		t.Errorf("the first hint is %+v (open: %v), want head 0", h, ok)
	}
	return hints
}

func firstHint(t testing.TB, s *subject) {
	commit(t, s.Backend, put("a", "1"))
	for range 3 {
		listen(t.Context(), t, s.Backend)
	}
}

func hintsEnd(t testing.TB, s *subject) {
	ctx, cancel := context.WithCancel(t.Context())
	hints := listen(ctx, t, s.Backend)
	other := listen(t.Context(), t, s.Backend)
	cancel()
	for range hints { // until it is closed
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	for range other { // until it is closed
	}
	if _, err := s.Bus.Listen(t.Context()); err == nil {
		t.Errorf("a closed backend still listens")
	}
	err := s.Bus.Announce(t.Context(), core.Commit{Revision: 1})
	if err != nil {
		ours(t, "Announce on a closed backend", err)
	}
}

func announceDoesNotWait(t testing.TB, s *subject) {
	peer := s.peer(t)
	listen(t.Context(), t, s.Backend)
	listen(t.Context(), t, peer)
	for range 2000 {
		if err := peer.Bus.Announce(t.Context(), core.Commit{Revision: 1}); err != nil {
			t.Fatalf("Announce: %v", err)
		}
	}
}

// hintArrives repeats commits until ten are heard of, since each hint may be lost.
func hintArrives(t testing.TB, s *subject) {
	peer := s.peer(t)
	hints := listen(t.Context(), t, s.Backend)
	end := time.Now().Add(s.patience())
	for heard := 0; heard < 10; {
		c := commit(t, peer, put("a", "1"))
		if time.Now().After(end) {
			t.Fatalf("of %d commits, %d were heard of", c.Revision, heard)
		}
		if err := peer.Bus.Announce(t.Context(), c); err != nil {
			t.Fatalf("Announce: %v", err)
		}
		for waiting := true; waiting; {
			select {
			case h := <-hints:
				waiting = h.Head < c.Revision
				if h.Head > c.Revision {
					t.Fatalf("a hint says head %d before there is one past %d", h.Head, c.Revision)
				}
				if h.Head != 0 {
					heard++
				}
				if h.Commit != nil {
					log := logAfter(t, s.Backend, h.Head-1, 1)
					same(t, "the commit in the hint", first(t, log), *h.Commit)
				}
			case <-retry():
				waiting = false
			}
		}
	}
}

func hintAfterCut(t testing.TB, s *subject) {
	hints := listen(t.Context(), t, s.Backend)
	s.shake(t)
	for end := time.Now().Add(s.patience()); ; {
		select {
		case h, ok := <-hints:
			if !ok {
				t.Fatalf("the hints ended with the cut")
			}
			if h.Head == 0 {
				return
			}
		case <-retry():
			c := commit(t, s.Backend, put("a", "1"))
			if time.Now().After(end) {
				t.Fatalf("after %d commits no hint says that some may have been missed", c.Revision)
			}
		}
	}
}
