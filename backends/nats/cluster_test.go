package nats

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

// trio is a cluster of three servers on which every backend has a stream of its own.
type trio struct {
	*services.NatsCluster
	streams, blows atomic.Int64
	of             sync.Map // prefix by backend
}

func (m *trio) connect(t testing.TB, prefix string) *core.Backend {
	t.Helper()
	var b *core.Backend
	eventually(t, func() (err error) { // a leader may be about to be elected
		b, err = Open(t.Context(), Config{URL: m.URL, Options: Options{Prefix: prefix, Replicas: 3, SyncAlways: true}})
		return err
	})
	m.of.Store(b, prefix)
	return b
}

func (m *trio) open(t testing.TB) *core.Backend {
	return m.connect(t, fmt.Sprintf("test-%03d", m.streams.Add(1)))
}

func (m *trio) prefix(b *core.Backend) string {
	prefix, _ := m.of.Load(b)
	return prefix.(string)
}

func (m *trio) peer(t testing.TB, b *core.Backend) *core.Backend { return m.connect(t, m.prefix(b)) }

// disturb takes away a server that holds the stream, and gives it back when another one leads. One after the other it is
// the leader, killed and then paused, and one that follows, likewise.
func (m *trio) disturb(t testing.TB, b *core.Backend) {
	n := m.blows.Add(1) - 1
	one := m.Leader(t, m.prefix(b))
	if n%4 > 1 {
		one = m.Except(one).Nodes[0]
	}
	away, back := one.Kill, one.Start
	if n%2 == 1 {
		away, back = one.Pause, one.Resume
	}
	away(t)
	m.Except(one).Leader(t, m.prefix(b))
	back(t)
}

// persist commits until the outcome is known.
func persist(t *testing.T, s core.Store, id string) (c core.Commit) {
	t.Helper()
	eventually(t, func() (err error) {
		c, err = s.Commit(t.Context(), core.Txn{Meta: core.Meta{ID: id}, Ops: []core.Op{op("a", []byte(id))}})
		return err
	})
	return c
}

func TestAClusterGoesOnWithoutOneOfItsServers(t *testing.T) {
	t.Parallel()
	m := &trio{NatsCluster: services.StartNatsCluster(t)}
	b := m.open(t)
	defer func() { _ = b.Close() }()
	peer := m.peer(t, b)
	defer func() { _ = peer.Close() }()
	for i := range 20 {
		if i%5 == 2 { // the leader killed and paused, a follower killed and paused
			m.disturb(t, b)
		}
		if c := persist(t, b.Store, fmt.Sprint(i)); c.Revision != core.Revision(i+1) {
			t.Fatalf("commit %d is revision %d", i+1, c.Revision)
		}
		eventually(t, func() error {
			r, err := peer.Store.Sync(t.Context())
			if err == nil && r != core.Revision(i+1) {
				t.Fatalf("Sync of a peer is %d after commit %d", r, i+1)
			}
			return err
		})
	}
}

func TestAClusterIsUnavailableWithoutAMajorityAndWorksAgainWithIt(t *testing.T) {
	t.Parallel()
	m := &trio{NatsCluster: services.StartNatsCluster(t)}
	b := m.open(t)
	defer func() { _ = b.Close() }()
	persist(t, b.Store, "first")
	leader := m.Leader(t, m.prefix(b))
	for _, n := range m.Except(leader).Nodes {
		n.Kill(t)
	}
	for name, call := range map[string]func(context.Context) error{
		"Commit": func(ctx context.Context) error {
			_, err := b.Store.Commit(ctx, core.Txn{Meta: core.Meta{ID: "second"}, Ops: []core.Op{op("a", nil)}})
			return err
		},
		"Sync": func(ctx context.Context) error { _, err := b.Store.Sync(ctx); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := call(ctx); !errors.Is(err, core.ErrUnavailable) {
			t.Errorf("%s without a majority is answered %v", name, err)
		}
		cancel()
	}
	eventually(t, func() error {
		if st, err := b.Store.Status(t.Context()); !errors.Is(err, core.ErrUnavailable) {
			return fmt.Errorf("Status without a majority is %+v, %w", st, err)
		}
		return nil
	})
	for _, n := range m.Except(leader).Nodes {
		n.Start(t)
	}
	if c := persist(t, b.Store, "second"); c.Revision != 2 {
		t.Errorf("the commit of unknown outcome, repeated, is revision %d, want 2", c.Revision)
	}
}

func TestAClusterLosesNothingAndRepeatsNothingWhileServersDie(t *testing.T) {
	t.Parallel()
	m := &trio{NatsCluster: services.StartNatsCluster(t)}
	conformance.RunLinearizable(t, m.open, conformance.Options{Peer: m.peer, Break: m.disturb})
}
