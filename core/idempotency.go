package core

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
)

// remembered is the value of an idempotency entry: what was asked, and what the answer needs beside the entry's own
// revision and time, which are those of the commit.
type remembered struct {
	Digest  string `json:"digest"`
	Written []struct {
		Version int64 `json:"version"`
		Created bool  `json:"created,omitempty"`
	} `json:"written"`
}

// idempotencyEntry is the entry of a subject's idempotency key.
func idempotencyEntry(who *Subject, key string) Key {
	sum := sha256.Sum256([]byte(who.name() + "\x00" + key))
	return MakeKey(SystemEnv, KindIdempotency, hex.EncodeToString(sum[:]))
}

// errUsedKey refuses an idempotency key under which something else was asked for.
func errUsedKey() error {
	return &Error{
		Kind: ErrInvalid, Detail: "Idempotency-Key was used for another request",
		Fields: []FieldError{{Path: "Idempotency-Key", Reason: "used for another request"}},
	}
}

// writeOnce is write under an idempotency key: the answer is an entry of the same commit, so that either both are there or
// neither. It must know the versions beforehand, hence writers of one key take turns here.
func (e *Engine) writeOnce(ctx context.Context, c Caller, env EnvID, r Request) (Result, error) {
	key := idempotencyEntry(c.Subject, r.Idempotency)
	if _, busy := e.inflight.LoadOrStore(key, true); busy {
		return Result{}, Errorf(ErrConflict, "A request with this Idempotency-Key is in flight")
	}
	defer e.inflight.Delete(key)
	keys := make([]Key, len(r.Writes))
	for i := range r.Writes {
		keys[i] = MakeKey(env, r.Writes[i].Kind, r.Writes[i].Name)
	}
	unlock, err := e.turns.lock(ctx, keys)
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	fresh := !e.limits.Shared
	for try := 0; try < maxTries; try++ {
		memo := e.index.at(key)
		if memo.live(e.now()) {
			return e.repeat(ctx, c, env, r, memo)
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
		if err := e.memorize(&p, key, memo, r); err != nil {
			return Result{}, err
		}
		epoch := e.Epoch()
		commit, err := e.commit(ctx, p.txn)
		var conflict *ConflictError
		if !errors.As(err, &conflict) {
			if err != nil {
				return Result{}, err
			}
			return e.written(&c, r, p, epoch, commit), nil
		}
		e.stats.retries.Add(1)
		if err := e.follow(ctx, conflict, try); err != nil {
			return Result{}, err
		}
	}
	return Result{}, Errorf(ErrConflict, "Other changes of this key came between too often; try again")
}

// memorize adds the answer to the transaction. It is known beforehand because the versions are made conditions.
func (e *Engine) memorize(p *plan, key Key, memo *item, r Request) error {
	m := remembered{Digest: hex.EncodeToString(r.Digest[:])}
	for _, s := range p.steps {
		var version int64
		if it := e.index.at(s.key); it != nil {
			version = it.version
		}
		p.txn.Checks = append(p.txn.Checks, Check{Key: s.key, Version: &version})
		m.Written = append(m.Written, struct {
			Version int64 `json:"version"`
			Created bool  `json:"created,omitempty"`
		}{version + 1, s.created})
	}
	value, err := json.Marshal(m)
	if err != nil {
		return err
	}
	e.memo(&p.txn, key, memo, value)
	return nil
}

// memo adds the entry of an idempotency key, in the place of the one held, to a transaction.
func (e *Engine) memo(txn *Txn, key Key, held *item, value []byte) {
	var version int64
	if held != nil {
		version = held.version
	}
	txn.Checks = append(txn.Checks, Check{Key: key, Version: &version})
	txn.Ops = append(txn.Ops, Op{Key: key, Do: OpPut, Doc: Doc{
		Value: value, TTL: IdempotencyWindow, Expires: e.now().Add(IdempotencyWindow),
	}})
}

// repeat answers from the memory of an earlier success, to someone who may still do what was done.
func (e *Engine) repeat(ctx context.Context, c Caller, env EnvID, r Request, memo *item) (Result, error) {
	found, err := e.values.fetch(ctx, []*item{memo})
	if err != nil {
		return Result{}, err
	}
	entry := found[0]
	if entry == nil {
		return Result{}, Errorf(ErrConflict, "The earlier answer has just ended; try again")
	}
	var m remembered
	if err := json.Unmarshal(entry.Doc.Value, &m); err != nil {
		return Result{}, (&Error{Kind: ErrInternal}).Because(err)
	}
	if m.Digest != hex.EncodeToString(r.Digest[:]) || len(m.Written) != len(r.Writes) {
		return Result{}, errUsedKey()
	}
	res := Result{Position: Position{Epoch: e.Epoch(), Revision: entry.Revision}, Repeated: true}
	for i := range r.Writes {
		w := &r.Writes[i]
		left := e.index.get(env, w.Kind, w.Name)
		held := left
		if m.Written[i].Created {
			held = nil
		}
		for _, ask := range e.asks(c, env, w, held, left) {
			if _, err := e.require(ctx, &c, ask); err != nil {
				return Result{}, err
			}
		}
		res.Written = append(res.Written, Written{
			Name: w.Name, Version: m.Written[i].Version, Modified: entry.Modified, Created: m.Written[i].Created,
		})
	}
	return res, nil
}
