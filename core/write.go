package core

import (
	"context"
	"crypto/rand"
	"errors"
	"time"
)

// maxTries is how often a write is worked out anew because something else changed meanwhile, before it is given up.
const maxTries = 64

// Write carries out a Request: all of it in one commit, or nothing. An operation is authorized on what this node knows; the
// commit checks that the rules are still those. A refusal is never given on a view that may lag: the store is asked first.
func (e *Engine) Write(ctx context.Context, c Caller, r Request) (Result, error) {
	env, err := e.environment(ctx, c.Environment)
	if err != nil {
		return Result{}, err
	}
	if err := e.checkRequest(r); err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, e.within(writeFor))
	defer cancel()
	write := e.write
	if r.Idempotency != "" {
		write = e.writeOnce
	}
	res, err := write(ctx, c, env, r)
	return res, e.told(err)
}

// writeFor is how long a write is tried at most. Its outcome is unknown then.
const writeFor = 10 * time.Second

func (e *Engine) checkRequest(r Request) error {
	size := 0
	seen := make(map[string]bool, len(r.Writes))
	for i := range r.Writes {
		w := &r.Writes[i]
		if err := w.check(); err != nil {
			return inOperation(err, i, len(r.Writes))
		}
		size += len(w.Value)
		if id := string(w.Kind) + "/" + w.Name; seen[id] {
			return Errorf(ErrInvalid, "a key stands twice in one request")
		} else {
			seen[id] = true
		}
	}
	switch {
	case len(r.Writes) == 0:
		return missing("at least one operation")
	case e.limits.MaxOps > 0 && len(r.Writes) > e.limits.MaxOps:
		return Errorf(ErrTooLarge, "this backend takes at most %d operations in one commit", e.limits.MaxOps)
	case e.limits.MaxBytes > 0 && len(r.Writes) > 1 && size > e.limits.MaxBytes:
		return Errorf(ErrTooLarge, "this backend takes at most %d bytes of values in one commit", e.limits.MaxBytes)
	case len(r.Idempotency) > MaxIdempotency:
		return Errorf(ErrMalformed, "Idempotency-Key is at most %d bytes", MaxIdempotency)
	}
	return nil
}

// write tries until the commit goes through, or must be refused on a view that does not lag.
func (e *Engine) write(ctx context.Context, c Caller, env EnvID, r Request) (Result, error) {
	fresh := !e.limits.Shared
	for try := 0; try < maxTries; try++ {
		if err := e.turns.yield(ctx, env, r.Writes); err != nil {
			return Result{}, err
		}
		p, err := e.plan(ctx, c, env, r)
		if err != nil {
			if fresh || !refusal(err) {
				return Result{}, e.refused(&c, p, err)
			}
			if err := e.sync(ctx); err != nil {
				return Result{}, err
			}
			fresh = true
			continue
		}
		epoch := e.Epoch()
		commit, err := e.commit(ctx, p.txn)
		var conflict *ConflictError
		switch {
		case err == nil:
			return e.written(&c, r, p, epoch, commit), nil
		case !errors.As(err, &conflict):
			for _, a := range p.asks {
				e.record(&c, a.Access, OutcomeFailed, "", 0)
			}
			return Result{}, err
		}
		e.stats.retries.Add(1)
		if err := e.follow(ctx, conflict, try); err != nil {
			return Result{}, err
		}
		fresh = !e.limits.Shared
	}
	return Result{}, Errorf(ErrConflict, "Other changes of this key came between too often; try again")
}

// follow brings the view to where the store refused.
func (e *Engine) follow(ctx context.Context, conflict *ConflictError, try int) error {
	if try > 4 {
		if err := pause(ctx, backoff(min(try, 6))); err != nil {
			return err
		}
	}
	if err := e.loaded(ctx); err != nil {
		return err
	}
	return e.tail.wait(ctx, conflict.Head)
}

// refusal reports whether an error depends on what this node knows of the state.
func refusal(err error) bool {
	switch kind := KindOf(err); {
	case errors.Is(kind, ErrNotFound), errors.Is(kind, ErrForbidden), errors.Is(kind, ErrPrecondition), errors.Is(kind, ErrConflict):
		return true
	}
	return false
}

// commit hands a transaction to the store, and repeats it under the same ID while the outcome is unknown and ctx lasts. The
// commit is visible on this node when it returns.
func (e *Engine) commit(ctx context.Context, txn Txn) (Commit, error) {
	txn.Meta.ID = rand.Text()
	txn.Meta.Time = e.now()
	for try := 0; ; try++ {
		c, err := e.store.Commit(ctx, txn)
		if err == nil {
			e.tail.offer(c)
			if e.bus != nil {
				if err := e.bus.Announce(ctx, c); err != nil {
					e.log.Warn("bus does not take announcements; other nodes find changes by polling", "error", err)
				}
			}
			ctx := context.WithoutCancel(ctx)
			return c, errors.Join(e.loaded(ctx), e.tail.wait(ctx, c.Revision))
		}
		if !errors.Is(err, ErrUnavailable) || pause(ctx, backoff(try+3)) != nil {
			return Commit{}, err
		}
	}
}

// written reports a commit to the caller and to the audit.
func (e *Engine) written(c *Caller, r Request, p plan, epoch string, commit Commit) Result {
	res := Result{Position: Position{Epoch: epoch, Revision: commit.Revision}}
	for i := range r.Writes {
		out := Written{Name: r.Writes[i].Name, Modified: commit.Meta.Time, Created: p.steps[i].created}
		for j := range commit.Changes {
			if entry := &commit.Changes[j].Entry; entry.Key == p.steps[i].key {
				out.Version = entry.Version
			}
		}
		res.Written = append(res.Written, out)
	}
	for _, a := range p.asks {
		e.record(c, a.Access, OutcomeAllowed, a.rule, commit.Revision)
	}
	return res
}

// refused records denials.
func (e *Engine) refused(c *Caller, p plan, err error) error {
	if errors.Is(err, ErrForbidden) {
		for _, a := range p.denied {
			e.record(c, a.Access, OutcomeDenied, a.rule, 0)
		}
	}
	return err
}
