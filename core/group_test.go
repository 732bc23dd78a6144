package core

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
)

var small = Limits{MaxOps: 4, MaxBytes: 1000}

func put(key, value string) Txn {
	return Txn{Meta: Meta{ID: key}, Ops: []Op{{Key: Key(key), Do: OpPut, Doc: Doc{Value: []byte(value)}}}}
}

// recorder is a batch function that keeps what it was given, and waits at a gate if there is one.
type recorder struct {
	gate    chan struct{}
	mu      sync.Mutex
	batches [][]string
}

func (r *recorder) run(ctx context.Context, batch []Txn) []Answer {
	ids := make([]string, len(batch))
	answers := make([]Answer, len(batch))
	for i, t := range batch {
		ids[i] = t.Meta.ID
		answers[i] = Answer{Commit: Commit{Meta: t.Meta}}
		if t.Meta.ID == "bad" {
			answers[i] = Answer{Err: &ConflictError{Key: "bad"}}
		}
	}
	r.mu.Lock()
	r.batches = append(r.batches, ids)
	r.mu.Unlock()
	select {
	case <-r.gate:
	case <-ctx.Done():
		for i := range answers {
			answers[i] = Answer{Err: Errorf(ErrUnavailable, "cut")}
		}
	}
	return answers
}

// held starts a Group whose first batch, of the transaction "first", waits at the recorder's gate.
func held(t *testing.T) (*Group, *recorder, <-chan error) {
	t.Helper()
	r := &recorder{gate: make(chan struct{})}
	g := NewGroup(small, r.run)
	first := goCommit(g, t.Context(), put("first", "1"))
	synctest.Wait()
	return g, r, first
}

func goCommit(g *Group, ctx context.Context, txn Txn) <-chan error {
	errs := make(chan error, 1)
	go func() {
		c, err := g.Commit(ctx, txn)
		if err == nil && c.Meta.ID != txn.Meta.ID {
			err = fmt.Errorf("got the answer of %q, want that of %q", c.Meta.ID, txn.Meta.ID)
		}
		errs <- err
	}()
	return errs
}

func TestGroupMergesWhatArrivedDuringTheLastBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, r, first := held(t)
		defer g.Close()
		var all []<-chan error
		for i := range 6 {
			all = append(all, goCommit(g, t.Context(), put(fmt.Sprint(i), "1")))
			synctest.Wait()
		}
		close(r.gate)
		for _, errs := range append(all, first) {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if got, want := fmt.Sprint(r.batches), "[[first] [0 1 2 3] [4 5]]"; got != want {
			t.Errorf("batches: got %s, want %s", got, want)
		}
	})
}

func TestGroupKeepsBatchesWithinBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, r, first := held(t)
		defer g.Close()
		a := goCommit(g, t.Context(), put("a", string(make([]byte, MaxOverhead+600))))
		synctest.Wait()
		b := goCommit(g, t.Context(), put("b", string(make([]byte, MaxOverhead+500))))
		synctest.Wait()
		close(r.gate)
		for _, errs := range []<-chan error{first, a, b} {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if got, want := fmt.Sprint(r.batches), "[[first] [a] [b]]"; got != want {
			t.Errorf("batches: got %s, want %s", got, want)
		}
	})
}

func TestGroupGivesEachItsOwnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, r, first := held(t)
		defer g.Close()
		good, bad := goCommit(g, t.Context(), put("good", "1")), goCommit(g, t.Context(), put("bad", "1"))
		synctest.Wait()
		close(r.gate)
		if err := errors.Join(<-first, <-good); err != nil {
			t.Error(err)
		}
		if err := <-bad; !errors.Is(err, ErrConflict) {
			t.Errorf("got %v, want a conflict", err)
		}
	})
}

func TestGroupCancellationAbortsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{gate: make(chan struct{})}
		g := NewGroup(small, r.run)
		defer g.Close()
		ctx, cancel := context.WithCancel(t.Context())
		first := goCommit(g, ctx, put("first", "1"))
		synctest.Wait()
		gone, stays := goCommit(g, ctx, put("gone", "1")), goCommit(g, t.Context(), put("stays", "1"))
		synctest.Wait()
		cancel()
		for _, errs := range []<-chan error{first, gone} {
			if err := <-errs; !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want unavailable because canceled", err)
			}
		}
		close(r.gate)
		if err := <-stays; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got, want := fmt.Sprint(r.batches), "[[first] [stays]]"; got != want {
			t.Errorf("batches: got %s, want %s", got, want)
		}
	})
}

func TestGroupCloseEndsThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _, first := held(t)
		second := goCommit(g, t.Context(), put("second", "1"))
		synctest.Wait()
		g.Close()
		g.Close()
		_, err := g.Commit(t.Context(), put("late", "1"))
		for _, err := range []error{<-first, <-second, err} {
			if !errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v, want unavailable", err)
			}
		}
	})
}

func TestGroupRefusesWhatIsLargerThanItsLimits(t *testing.T) {
	g := NewGroup(small, func(context.Context, []Txn) []Answer { panic("not to be reached") })
	defer g.Close()
	many := Txn{Ops: make([]Op, small.MaxOps+1)}
	large := put("k", string(make([]byte, small.MaxBytes+MaxOverhead+1)))
	for _, txn := range []Txn{many, large} {
		if _, err := g.Commit(t.Context(), txn); !errors.Is(err, ErrTooLarge) {
			t.Errorf("got %v, want too large", err)
		}
	}
}
