package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/conformance"
	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

// trio is a cluster of three members on which every test has a prefix of its own. Tests that take members away come one
// after another.
type trio struct {
	services.EtcdCluster
	count atomic.Int64
	of    sync.Map // prefix by backend
}

func (m *trio) connect(t testing.TB, prefix string) *core.Backend {
	t.Helper()
	var b *core.Backend
	insist(t, func() (err error) { // a leader may be about to be elected
		b, err = Open(t.Context(), Config{Endpoints: m.Endpoints(), Options: Options{Prefix: prefix, Timeout: patient}})
		return err
	})
	m.of.Store(b, prefix)
	return b
}

func (m *trio) open(t testing.TB) *core.Backend {
	return m.connect(t, fmt.Sprintf("test/%03d", m.count.Add(1)))
}

func (m *trio) peer(t testing.TB, b *core.Backend) *core.Backend {
	prefix, _ := m.of.Load(b)
	return m.connect(t, prefix.(string))
}

// disturb takes away the leader, dead or paused, and gives it back when there is another one.
func (m *trio) disturb(t testing.TB, _ *core.Backend) {
	leader := m.Leader(t)
	if m.count.Add(1)%2 == 0 {
		leader.Kill(t)
		m.except(leader).Leader(t)
		leader.Start(t)
	} else {
		leader.Pause(t)
		m.except(leader).Leader(t)
		leader.Resume(t)
	}
}

func (m *trio) except(one *services.Etcd) (others services.EtcdCluster) {
	for _, e := range m.EtcdCluster {
		if e != one {
			others = append(others, e)
		}
	}
	return others
}

func TestACluster(t *testing.T) {
	t.Parallel()
	m := &trio{EtcdCluster: services.StartEtcdCluster(t, 3)}
	t.Run("is opened while a member is dead", m.opensWithoutOne)
	t.Run("answers reads while a member is paused", m.readsWithoutOne)
	t.Run("takes commits while the leader is paused", m.commitsWithoutLeader)
	t.Run("is unavailable without a majority and works again with it", m.needsMajority)
	t.Run("loses nothing and repeats nothing while leaders die", func(t *testing.T) {
		conformance.RunLinearizable(t, m.open, conformance.Options{Peer: m.peer, Break: m.disturb})
	})
}

func (m *trio) opensWithoutOne(t *testing.T) {
	m.EtcdCluster[0].Kill(t)
	defer m.EtcdCluster[0].Start(t)
	b := m.open(t)
	defer func() { _ = b.Close() }()
	persist(t, b.Store, "first", op("k", []byte("1")))
}

func (m *trio) readsWithoutOne(t *testing.T) {
	b := m.open(t)
	defer func() { _ = b.Close() }()
	persist(t, b.Store, "first", op("k", []byte("1")))
	follower := m.Follower(t)
	talkTo(b, follower)
	follower.Pause(t)
	defer follower.Resume(t)
	if head, err := b.Store.Sync(t.Context()); err != nil || head != 1 {
		t.Errorf("Sync: got %d and %v, want 1", head, err)
	}
}

// talkTo has the backend ask a certain member.
func talkTo(b *core.Backend, e *services.Etcd) {
	m := b.Store.(*Store).members
	for {
		at, _ := m.current()
		if m.endpoints[at] == e.Endpoint {
			return
		}
		m.mu.Lock()
		m.since = time.Time{}
		m.mu.Unlock()
		m.leave(at)
	}
}

func (m *trio) commitsWithoutLeader(t *testing.T) {
	b := m.open(t)
	defer func() { _ = b.Close() }()
	leader := m.Leader(t)
	talkTo(b, leader)
	hints, err := b.Bus.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	<-hints
	leader.Pause(t)
	defer leader.Resume(t)
	for i := range 4 {
		if c := persist(t, b.Store, fmt.Sprint(i), op("k", []byte("1"))); c.Revision != core.Revision(i+1) {
			t.Errorf("got commit %d, want %d: one was made twice", c.Revision, i+1)
		}
	}
	if h := <-hints; h.Head != 0 {
		t.Errorf("the first hint of another member is of head %d, want 0: look", h.Head)
	}
}

func (m *trio) needsMajority(t *testing.T) {
	b := m.open(t)
	defer func() { _ = b.Close() }()
	persist(t, b.Store, "before", op("k", []byte("1")))
	for _, e := range m.EtcdCluster[1:] {
		e.Kill(t)
	}
	for name, call := range map[string]func(context.Context) error{
		"Commit": func(ctx context.Context) error {
			_, err := b.Store.Commit(ctx, core.Txn{Meta: core.Meta{ID: "during"}, Ops: []core.Op{op("k", []byte("2"))}})
			return err
		},
		"Sync": func(ctx context.Context) error { _, err := b.Store.Sync(ctx); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := call(ctx); !errors.Is(err, core.ErrUnavailable) {
			t.Errorf("%s without a majority: got %v, want unavailable", name, err)
		}
		cancel()
	}
	var starts sync.WaitGroup
	for _, e := range m.EtcdCluster[1:] {
		starts.Go(func() { e.Start(t) })
	}
	starts.Wait()
	if c := persist(t, b.Store, "during", op("k", []byte("2"))); c.Revision != 2 {
		t.Errorf("got commit %d, want 2", c.Revision)
	}
}

// persist commits, again and again while the outcome is unknown.
func persist(t *testing.T, s core.Store, id string, ops ...core.Op) (c core.Commit) {
	t.Helper()
	insist(t, func() (err error) {
		c, err = s.Commit(t.Context(), core.Txn{Meta: core.Meta{ID: id}, Ops: ops})
		return err
	})
	return c
}

// insist calls again and again while the answer is that the store is unavailable.
func insist(t testing.TB, call func() error) {
	t.Helper()
	for end := time.After(2 * patient); ; {
		err := call()
		if err == nil {
			return
		}
		if !errors.Is(err, core.ErrUnavailable) {
			t.Fatal(err)
		}
		select {
		case <-end:
			t.Fatal(err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
