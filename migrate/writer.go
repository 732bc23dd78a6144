package migrate

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/dynconfig/dynconfig/core"
)

// writer commits parts of commits to the target: in order, but many at once, so that the target groups them. Each part
// checks that the one before it is there. One that comes too early is refused and sent again.
type writer struct {
	*migration
	after   *core.Check // proves the newest that is there
	waiting []commit
	size    int
}

// What is sent at once: at most so many parts, of about so many bytes.
const (
	atOnce      = 64
	atOnceBytes = core.PageBytes
)

// add takes a commit to be written, in as many parts as the target's limits make of it.
func (w *writer) add(ctx context.Context, c commit) error {
	if c.nothing {
		return nil
	}
	for {
		part, rest := c.split(c.fits(w.limits))
		w.waiting = append(w.waiting, part)
		w.size += part.size()
		if len(w.waiting) >= atOnce || w.size >= atOnceBytes {
			if err := w.flush(ctx); err != nil {
				return err
			}
		}
		if len(rest.changes) == 0 {
			return nil
		}
		c = rest
	}
}

// flush writes everything that waits.
func (w *writer) flush(ctx context.Context) error {
	for len(w.waiting) > 0 {
		some := w.some()
		errs := w.send(ctx, some)
		done := len(errs) // those before it are there, since each checked the one before
		for done > 0 && errs[done-1] != nil {
			done--
		}
		if done > 0 {
			w.after = some[done-1].proof()
		}
		w.waiting = w.waiting[done:]
		if done == len(some) {
			continue
		}
		c, err := some[done], errs[done]
		switch {
		case errors.Is(err, core.ErrTooLarge) && len(c.changes) > 1:
			a, b := c.split(len(c.changes) / 2)
			w.waiting = slices.Concat([]commit{a, b}, w.waiting[1:])
		case !errors.Is(err, core.ErrConflict):
			return err
		case done == 0: // not even the first, which nothing can have overtaken
			return errForeign()
		}
	}
	w.waiting, w.size = nil, 0
	return nil
}

func errForeign() error {
	return core.Errorf(core.ErrConflict, "Somebody else writes to the target: empty it and begin again")
}

// some returns those that may be sent at once: after a part that purges, the versions that prove a part may have been there
// before, and one without changes proves nothing. Either has to be the last of them.
func (w *writer) some() []commit {
	for i, c := range w.waiting {
		if c.proof() == nil || c.purges() {
			return w.waiting[:i+1]
		}
	}
	return w.waiting
}

// send commits parts at once. They arrive about in order, since each waits for the one before to be under way.
func (w *writer) send(ctx context.Context, parts []commit) []error {
	errs := make([]error, len(parts))
	after := w.after
	mine := make(chan struct{})
	close(mine)
	var wg sync.WaitGroup
	for i, c := range parts {
		txn, turn, next := w.txn(c, after), mine, make(chan struct{})
		wg.Go(func() {
			<-turn
			close(next)
			_, errs[i] = w.target.Commit(ctx, txn)
		})
		after, mine = c.proof(), next
	}
	wg.Wait()
	return errs
}
