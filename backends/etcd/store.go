package etcd

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dynconfig/dynconfig/core"
)

var _ core.Store = (*Store)(nil)

// Store is a core.Store in etcd.
type Store struct {
	client  *clientv3.Client
	members *members
	keys    layout
	timeout time.Duration
	request Request
	limits  core.Limits
	refuse  func() error
	group   *core.Group
	writer  *writer
	seen    atomic.Pointer[sighting]
	loaded  atomic.Pointer[sighting] // what was seen when the caller last listed the store from its beginning
	closed  atomic.Bool
}

// Commit implements core.Store.
func (s *Store) Commit(ctx context.Context, txn core.Txn) (core.Commit, error) {
	if err := s.alive(); err != nil {
		return core.Commit{}, err
	}
	if err := s.refuse(); err != nil {
		return core.Commit{}, err
	}
	return s.group.Commit(ctx, txn)
}

// Sync implements core.Store: a linearizable read of the head.
func (s *Store) Sync(ctx context.Context) (core.Revision, error) {
	r, err := s.read(ctx, clientv3.OpGet(s.keys.head()))
	if err != nil {
		return 0, err
	}
	head, _, err := headOf(r, 0)
	return head, err
}

// Status implements core.Store. etcd has no clock of its own. Where the history is not the one of before, or somebody deleted
// the epoch, there is another epoch afterwards.
func (s *Store) Status(ctx context.Context) (core.Status, error) {
	before := s.seen.Load()
	r, err := s.read(ctx, clientv3.OpGet(s.keys.head()), clientv3.OpGet(s.keys.floor()), clientv3.OpGet(s.keys.epoch()))
	if err != nil {
		return core.Status{}, err
	}
	head, _, err := headOf(r, 0)
	if err != nil {
		return core.Status{}, err
	}
	floor, err := floorOf(r, 1)
	if err != nil {
		return core.Status{}, err
	}
	now := &sighting{placeOf(r, 0), head, epochOf(r, 2)}
	if now.epoch == "" || before != nil && now.epoch == before.epoch && before.rewritten(now.place, head) {
		if now.epoch, err = s.newEpoch(ctx, now.epoch); err != nil {
			return core.Status{}, err
		}
	}
	s.seen.CompareAndSwap(before, now) // if not, another call saw more
	return core.Status{Epoch: now.epoch + clusterID(r.Header.ClusterId), Head: head, Floor: floor}, nil
}

func (s *Store) alive() error {
	if s.closed.Load() {
		return core.Errorf(core.ErrUnavailable, "Store is closed")
	}
	return nil
}

// do runs operations in one etcd transaction.
func (s *Store) do(ctx context.Context, ops ...clientv3.Op) (*clientv3.TxnResponse, error) {
	if err := s.alive(); err != nil {
		return nil, err
	}
	return s.txn(ctx, nil, ops, nil)
}

// firstWait is how long the first member that is asked has for its answer. Each next one has twice as long.
const firstWait = time.Second

// read runs gets in one etcd transaction, so that they see one state. Of several members it asks the next one when one does
// not answer, until the time is up.
func (s *Store) read(ctx context.Context, gets ...clientv3.Op) (*clientv3.TxnResponse, error) {
	if !s.members.several() {
		return s.do(ctx, gets...)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	for wait := firstWait; ; wait *= 2 {
		if err := s.alive(); err != nil {
			return nil, err
		}
		r, err := s.ask(ctx, wait, nil, gets, nil)
		if err == nil || !errors.Is(err, errAway) {
			return r, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(reconnect.BaseDelay):
		}
	}
}

// txn runs one etcd transaction. Of several members it asks one, for as long as it takes to elect another leader.
func (s *Store) txn(ctx context.Context, compare []clientv3.Cmp, then, otherwise []clientv3.Op) (*clientv3.TxnResponse, error) {
	wait := s.timeout
	if s.members.several() {
		wait /= 2
	}
	return s.ask(ctx, wait, compare, then, otherwise)
}

// ask runs one etcd transaction at the current member, and maps its error. A member that does not answer in time, or has no
// leader, is left.
func (s *Store) ask(ctx context.Context, wait time.Duration, compare []clientv3.Cmp, then, otherwise []clientv3.Op) (*clientv3.TxnResponse, error) {
	in, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if s.members.several() {
		in = clientv3.WithRequireLeader(in)
	}
	at, _ := s.members.current()
	r, err := s.client.Txn(in).If(compare...).Then(then...).Else(otherwise...).Commit()
	if err == nil {
		return r, nil
	}
	if err = fault(err); errors.Is(err, errAway) && ctx.Err() == nil {
		s.members.leave(at)
	}
	return nil, err
}

// headOf reads the head from an answer; there is none before the first commit.
func headOf(r *clientv3.TxnResponse, i int) (core.Revision, time.Time, error) {
	kvs := r.Responses[i].GetResponseRange().Kvs
	if len(kvs) == 0 {
		return 0, time.Time{}, nil
	}
	return decodeHead(kvs[0].Value)
}

func floorOf(r *clientv3.TxnResponse, i int) (core.Revision, error) {
	kvs := r.Responses[i].GetResponseRange().Kvs
	if len(kvs) == 0 {
		return 0, nil
	}
	return decodeFloor(kvs[0].Value)
}

// settled repeats a read of several requests when etcd compacted the revision under it.
func settled[T any](read func() (T, error)) (T, error) {
	for try := 0; ; try++ {
		v, err := read()
		if !errors.Is(err, errMoved) || try == 5 {
			return v, err
		}
	}
}
