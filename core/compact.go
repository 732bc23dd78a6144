package core

import (
	"context"
	"time"
)

// compactEvery is how often a node looks whether the log holds more than is to be kept.
const compactEvery = time.Minute

func (e *Engine) compactRegularly(ctx context.Context) {
	for pause(ctx, compactEvery) == nil {
		if err := e.compact(ctx); err != nil && ctx.Err() == nil {
			e.log.Warn("log cannot be compacted; tried again in a minute", "error", err)
		}
	}
}

// compact drops what is over the retention: commits beyond its number, and those older than its age.
func (e *Engine) compact(ctx context.Context) error {
	status, err := e.store.Status(ctx)
	if err != nil {
		return err
	}
	upTo, err := e.olderThan(ctx, status, e.now().Add(-e.options.Retention.Age))
	if err != nil {
		return err
	}
	upTo = max(upTo, status.Head-Revision(e.options.Retention.Commits))
	if upTo <= status.Floor {
		e.tail.trim(status.Floor)
		return nil
	}
	e.log.Info("compacting the log", "upTo", upTo, "head", status.Head)
	if err := e.store.Compact(ctx, upTo, e.options.Retention.Versions); err != nil {
		return err
	}
	e.tail.trim(upTo)
	return nil
}

// olderThan returns the newest revision whose commit is older than an instant. Times never go back, so it is searched for
// by halves.
func (e *Engine) olderThan(ctx context.Context, s Status, then time.Time) (Revision, error) {
	low, high := s.Floor, s.Head // low is dropped or older, high+1 is not
	for low < high {
		mid := low + (high-low+1)/2
		commits, err := e.store.Log(ctx, mid-1, 1)
		if err != nil {
			return 0, err
		}
		if len(commits) > 0 && commits[0].Meta.Time.Before(then) {
			low = mid
		} else {
			high = mid - 1
		}
	}
	return low, nil
}
