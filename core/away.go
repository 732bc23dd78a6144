package core

import (
	"context"
	"errors"
	"time"
)

// This file holds what becomes of answers while a store that others share is away.

// staleAfter is how old a view may be without being called stale.
const staleAfter = 2 * time.Second

// stale returns for how long this node has not heard of a shared store, if that is long enough to tell; beyond MaxStale it
// is an error.
func (e *Engine) stale() (time.Duration, error) {
	if !e.limits.Shared {
		return 0, nil
	}
	switch silence := e.tail.silence(); {
	case silence <= staleAfter:
		return 0, nil
	case silence > e.options.MaxStale:
		return 0, errAway()
	default:
		return silence, nil
	}
}

// ofView answers a read from what this node holds. Once that is older than MaxStale it tells nothing, not even that an item
// is absent or denied; before, the answer and an error both come with how old it is.
func ofView[T any](e *Engine, read func() (T, error)) (answer T, stale time.Duration, err error) {
	if stale, err = e.stale(); err != nil {
		return answer, 0, err
	}
	answer, err = read()
	return answer, stale, aged(err, stale)
}

// aged returns an error that is told from a view of an age.
func aged(err error, stale time.Duration) error {
	if stale == 0 || err == nil {
		return err
	}
	var e *Error // not before: errors.As has it allocated
	if !errors.As(err, &e) {
		return err
	}
	told := *e
	told.Stale = stale
	return &told
}

// StaleOf returns for how long the store had been away when an error was told from what the node held; 0: it was not.
func StaleOf(err error) time.Duration {
	var e *Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Stale
}

// errAway is what is said of a store that does not answer, whatever way it is that it does not.
func errAway() *Error {
	return &Error{Kind: ErrUnavailable, Detail: "The store is away; try again", Retry: time.Second}
}

// awayFor is how long an answer of the store is waited for where it was away already: whoever waits for a store that is not
// there shall hear so. It is not nothing, since the store may be back before the tail has found out.
const awayFor = 2 * time.Second

// within returns for how long the store is to be waited for: full, if it is not known to be away.
func (e *Engine) within(full time.Duration) time.Duration {
	if e.tail.away.Load() {
		return min(full, awayFor)
	}
	return full
}

// told returns what the caller is told of an error of the store. That the caller has left is not the store's doing. What the
// store has to say of why it cannot serve, such as that it is full, is told as long as the log can be read.
func (e *Engine) told(err error) error {
	switch {
	case err == nil || errors.Is(err, context.Canceled):
	case errors.Is(err, context.DeadlineExceeded), e.tail.away.Load() && errors.Is(KindOf(err), ErrUnavailable):
		return errAway().Because(err)
	}
	return err
}
