package etcd

import (
	"math/rand/v2"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// members are the endpoints of the cluster. The client talks to one of them until that does not answer: with etcd's own
// taking of turns each member that hangs would hold up every so manieth call until its connection is given up.
type members struct {
	client    *clientv3.Client
	endpoints []string

	mu    sync.Mutex
	at    int
	since time.Time
	left  chan struct{} // closed when at becomes another
}

// newMembers begins anywhere, so that nodes spread over the members.
func newMembers(c *clientv3.Client) *members {
	m := &members{client: c, endpoints: c.Endpoints(), left: make(chan struct{})}
	if m.several() {
		m.at = rand.IntN(len(m.endpoints))
		c.SetEndpoints(m.endpoints[m.at])
	}
	return m
}

func (m *members) several() bool { return len(m.endpoints) > 1 }

// current returns the member that is talked to, and what is closed when that is left.
func (m *members) current() (at int, left <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at, m.left
}

// leave goes on to the next member after one did not answer. Who asked it long ago, or while this one is hardly tried, changes
// nothing.
func (m *members) leave(at int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.several() || at != m.at || time.Since(m.since) < reconnect.BaseDelay {
		return
	}
	m.at, m.since = (at+1)%len(m.endpoints), time.Now()
	close(m.left) // first, so that whatever the next member says comes after it
	m.left = make(chan struct{})
	m.client.SetEndpoints(m.endpoints[m.at])
}
