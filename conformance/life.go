package conformance

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

var lifePromises = []promise{
	{name: "the epoch is the store's own, on every node", test: epochIsOwn},
	{name: "status writes nothing", test: statusWritesNothing},
	{name: "closing twice does nothing", test: closeTwice},
	{name: "a closed store is unavailable", test: closedIsUnavailable},
	{name: "every error is one of ours", test: errorsAreOurs},
	{name: "a caller who gives up aborts nobody else", test: givingUpAbortsNobody},
}

var epochForm = regexp.MustCompile(`^[a-z0-9]{8,32}$`)

func epochIsOwn(t testing.TB, s *subject) {
	epoch := status(t, s.Backend).Epoch
	if !epochForm.MatchString(epoch) {
		t.Errorf("the epoch is %q, want 8 to 32 of a-z and 0-9", epoch)
	}
	commit(t, s.Backend, put("a", "1"))
	compact(t, s.Backend, 1, 0)
	for _, b := range []*core.Backend{s.Backend, s.peer(t)} {
		if again := status(t, b).Epoch; again != epoch {
			t.Errorf("the epoch was %q and is %q", epoch, again)
		}
	}
	other := newSubject(t, s.open, s.o)
	if e := status(t, other.Backend).Epoch; e == epoch {
		t.Errorf("two stores have the epoch %q", e)
	}
}

func statusWritesNothing(t testing.TB, s *subject) {
	commit(t, s.Backend, put("a", "1"))
	first := status(t, s.Backend)
	for range 20 {
		st := status(t, s.Backend)
		if st.Head != 1 || st.Floor != 0 || st.Epoch != first.Epoch {
			t.Fatalf("status was %+v and is %+v", first, st)
		}
	}
	if n := len(logAfter(t, s.Backend, 0, 10)); n != 1 {
		t.Errorf("the log holds %d commits, want 1", n)
	}
}

func closeTwice(t testing.TB, s *subject) {
	commit(t, s.Backend, put("a", "1"))
	together(t, 4, func(int) error { return s.Close() })
	if err := s.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

// calls are all the methods of a store.
func calls(b *core.Backend) map[string]func(ctx context.Context) error {
	st := b.Store
	return map[string]func(ctx context.Context) error{
		"Commit":  func(ctx context.Context) error { _, err := st.Commit(ctx, txn(put("a", "1"))); return err },
		"Sync":    func(ctx context.Context) error { _, err := st.Sync(ctx); return err },
		"Get":     func(ctx context.Context) error { _, err := st.Get(ctx, []core.Key{"a"}, 0); return err },
		"List":    func(ctx context.Context) error { _, err := st.List(ctx, core.Query{}); return err },
		"Log":     func(ctx context.Context) error { _, err := st.Log(ctx, 0, 10); return err },
		"History": func(ctx context.Context) error { _, err := st.History(ctx, "a", 0, 10); return err },
		"Compact": func(ctx context.Context) error { return st.Compact(ctx, 0, 1) },
		"Status":  func(ctx context.Context) error { _, err := st.Status(ctx); return err },
	}
}

func closedIsUnavailable(t testing.TB, s *subject) {
	commit(t, s.Backend, put("a", "1"))
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	for name, call := range calls(s.Backend) {
		if err := call(t.Context()); !errors.Is(err, core.ErrUnavailable) {
			t.Errorf("%s on a closed store is answered %v, want ErrUnavailable", name, err)
		}
	}
}

// ours fails unless err is of one of core's kinds.
func ours(t testing.TB, what string, err error) {
	t.Helper()
	for _, kind := range core.Kinds() {
		if errors.Is(err, kind) {
			return
		}
	}
	t.Errorf("%s is answered %v (%T), which is no error of package core", what, err, err)
}

func errorsAreOurs(t testing.TB, s *subject) {
	commit(t, s.Backend, put("a", "1"))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for what, ctx := range map[string]context.Context{"given up": ended, "past its time": late} {
		for name, call := range calls(s.Backend) {
			if err := call(ctx); err != nil {
				ours(t, name+", "+what+",", err)
				if !errors.Is(err, core.ErrUnavailable) {
					t.Errorf("%s, %s, is %v, want unavailable", name, what, err)
				}
			}
		}
	}
	_, err := s.Store.Commit(t.Context(), when(txn(), version("a", 9)))
	ours(t, "a failed check", err)
	_, err = s.Store.Commit(t.Context(), full(s.Limits.MaxOps+1, 0))
	ours(t, "a transaction that is too large", err)
	compact(t, s.Backend, 1, 1)
	_, err = s.Store.Log(t.Context(), 0, 1)
	ours(t, "a log below the floor", err)
}

// givingUpAbortsNobody lets half of the callers go, some before they begin, some while their transactions wait with others.
func givingUpAbortsNobody(t testing.TB, s *subject) {
	const callers, rounds = 32, 4
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Store.Commit(ended, txn(put("given up", "1"))); err != nil {
		ours(t, "a caller who has given up", err)
	}
	granted(t, s.Backend, txn(put("kept up", "1")))
	acknowledged := make([][rounds]core.Revision, callers)
	key := func(caller, round int) string { return fmt.Sprintf("k%02d.%d", caller, round) }
	together(t, callers, func(i int) error {
		for round := range rounds {
			ctx, cancel := context.WithCancel(t.Context())
			switch i % 4 {
			case 1:
				cancel()
			case 3:
				go cancel()
			}
			c, err := s.Store.Commit(ctx, txn(put(core.Key(key(i, round)), "1")))
			cancel()
			acknowledged[i][round] = c.Revision
			if err != nil && (i%2 == 0 || !errors.Is(err, core.ErrUnavailable)) {
				return fmt.Errorf("caller %d: %w", i, err)
			}
		}
		return nil
	})
	log := logAfter(t, s.Backend, 0, 1000)
	for i, own := range acknowledged {
		for round, r := range own {
			if r > 0 && (int(r) > len(log) || string(first(t, log[r-1].Changes).Entry.Key) != key(i, round)) {
				t.Errorf("caller %d was told revision %d, which is not its commit", i, r)
			}
		}
	}
}
