package core

import (
	"context"
	"encoding/hex"
	"encoding/json"
)

// Once is an idempotency key, and a digest of what is asked for under it.
type Once struct {
	Key    string
	Digest [32]byte
}

// PolicyOnce calls write with a caller whose WritePolicy is remembered for IdempotencyWindow, or returns what an earlier call
// wrote under the same key: Version and Value are then left out. It is authorized again first.
func (e *Engine) PolicyOnce(ctx context.Context, c Caller, once Once, write func(Caller) error) (earlier *Entry, err error) {
	key := idempotencyEntry(c.Subject, once.Key)
	if _, busy := e.inflight.LoadOrStore(key, true); busy {
		return nil, Errorf(ErrConflict, "A request with this Idempotency-Key is in flight")
	}
	defer e.inflight.Delete(key)
	if e.limits.Shared {
		if err := e.sync(ctx); err != nil {
			return nil, err
		}
	}
	memo := e.index.at(key)
	if memo.live(e.now()) {
		return e.policyAgain(ctx, c, once, memo)
	}
	c.once = &once
	return nil, write(c)
}

func (e *Engine) policyAgain(ctx context.Context, c Caller, once Once, memo *item) (*Entry, error) {
	if _, err := e.Require(ctx, c, Access{Action: ActionAdmin, Kind: KindPolicy, Key: PolicySet, Exists: true, Operation: "put"}); err != nil {
		return nil, err
	}
	found, err := e.values.fetch(ctx, []*item{memo})
	if err != nil {
		return nil, err
	}
	if found[0] == nil {
		return nil, Errorf(ErrConflict, "The earlier answer has just ended; try again")
	}
	var m remembered
	if err := json.Unmarshal(found[0].Doc.Value, &m); err != nil {
		return nil, (&Error{Kind: ErrInternal}).Because(err)
	}
	if m.Digest != hex.EncodeToString(once.Digest[:]) || len(m.Written) != 0 {
		return nil, errUsedKey()
	}
	return &Entry{Revision: found[0].Revision, Modified: found[0].Modified, Author: c.Subject.name()}, nil
}

// remember adds to a change of the policy that it is not to be made again.
func (e *Engine) remember(txn *Txn, c *Caller) error {
	if c == nil || c.once == nil {
		return nil
	}
	value, err := json.Marshal(remembered{Digest: hex.EncodeToString(c.once.Digest[:])})
	if err != nil {
		return err
	}
	key := idempotencyEntry(c.Subject, c.once.Key)
	e.memo(txn, key, e.index.at(key), value)
	return nil
}
