package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/dynconfig/dynconfig/backends/etcd"
	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

// load writes to keys of load.* on one node until stop, and says what was acknowledged.
type load struct {
	writing sync.WaitGroup
	end     context.CancelFunc
	done    atomic.Int64

	mu     sync.Mutex
	newest map[string]int64
}

func (c *cluster) load(t *testing.T, n *node) *load {
	t.Helper()
	const writers, keys = 6, 5
	ctx, end := context.WithCancel(t.Context())
	l := &load{end: end, newest: map[string]int64{}}
	for w := range writers {
		cl := c.client(t, c.only(t, n))
		l.writing.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key := fmt.Sprintf("load.%d", (i+w)%keys)
				written, err := put(t.Context(), cl, key, i*writers+w)
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				l.mu.Lock()
				l.newest[key] = max(l.newest[key], written.Version)
				l.mu.Unlock()
				l.done.Add(1)
			}
		})
	}
	return l
}

// more waits for so many more acknowledged writes.
func (l *load) more(t *testing.T, n int64) {
	t.Helper()
	from := l.done.Load()
	until(t, "writes go on", func() error {
		if done := l.done.Load(); done < from+n && !t.Failed() {
			return fmt.Errorf("%d of %d", done-from, n)
		}
		return nil
	})
}

// stop ends the writing, and returns the newest version of each key. Each write has to have made one.
func (l *load) stop(t *testing.T) map[string]int64 {
	t.Helper()
	l.end()
	l.writing.Wait()
	sum := int64(0)
	for _, version := range l.newest {
		sum += version
	}
	if done := l.done.Load(); sum != done {
		t.Errorf("%d writes made %d versions", done, sum)
	}
	return l.newest
}

func TestWatchersHearWritesOnAnotherNodeThoughTheLeaderOfTheirEtcdIsKilledAndPaused(t *testing.T) {
	t.Parallel()
	store := services.StartEtcdCluster(t, 3)
	c := newCluster(t, 2, []string{"ETCD_ENDPOINTS=" + strings.Join(store.Endpoints(), ",")}, "--backend", "etcd", "--rate-limit", "0")
	start, err := put(t.Context(), c.client(t, c.only(t, c.nodes[0])), "start", 1)
	if err != nil {
		t.Fatal(err)
	}
	crowd := c.watch(t, 10, "load.*", start.Revision, func(int) *http.Client { return c.only(t, c.nodes[1]) })
	l := c.load(t, c.nodes[0])
	l.more(t, 50)
	crowd.connected(t)
	rounds := 0
	for end := time.Now().Add(budget(t, 5*time.Second)); rounds < 2 || time.Now().Before(end); rounds++ {
		l.more(t, 50)
		leader := store.Leader(t)
		if rounds%2 == 0 {
			leader.Kill(t)
			l.more(t, 50)
			leader.Start(t)
		} else {
			leader.Pause(t)
			l.more(t, 50)
			leader.Resume(t)
		}
		if t.Failed() {
			return
		}
	}
	crowd.await(t, l.stop(t))
	crowd.agree(t)
	if n := crowd.reconnected(); n > 0 {
		t.Errorf("%d watchers had to connect again", n)
	}
	t.Logf("%d writes, %d leaders taken away", l.done.Load(), rounds)
}

func TestDeploymentsWithPrefixesOfTheirOwnShareAnEtcd(t *testing.T) {
	t.Parallel()
	store := services.StartEtcd(t)
	env := []string{"ETCD_ENDPOINTS=" + store.Endpoint, "DYNCONFIG_BACKEND=etcd"}
	one, two := newCluster(t, 1, env), newCluster(t, 1, append(env, "DYNCONFIG_ETCD_PREFIX=team/config"))
	first, second := one.client(t, one.only(t, one.nodes[0])), two.client(t, two.only(t, two.nodes[0]))
	if _, err := put(t.Context(), first, "app.a", 1); err != nil {
		t.Fatal(err)
	}
	for item, err := range second.List(t.Context(), client.ListOptions{}) {
		t.Errorf("the other deployment has %+v, %v", item, err)
	}
	if w, err := put(t.Context(), second, "app.a", 2); err != nil || w.Version != 1 || !w.Created {
		t.Errorf("the other deployment's first write is %+v, %v", w, err)
	}
}

func TestNodesSpeakToEtcdWithTLSAndAPasswordThatNobodySees(t *testing.T) {
	t.Parallel()
	const root, secret = "root-secret", "node-secret"
	a := services.NewAuthority(t)
	cert, key := a.Pair(t, "server")
	store := services.StartEtcdTLS(t, a.CA(), cert, key)
	cert, key = a.Pair(t, "node")
	allow(t, store.Endpoint, a.CA(), cert, key, root, secret)

	env := []string{
		"ETCD_ENDPOINTS=" + store.Endpoint, "DYNCONFIG_BACKEND=etcd", "DYNCONFIG_ETCD_PREFIX=shared/config",
		"DYNCONFIG_ETCD_CA=" + a.CA(), "DYNCONFIG_ETCD_CERT=" + cert, "DYNCONFIG_ETCD_KEY=" + key, "DYNCONFIG_ETCD_USERNAME=node",
	}
	c := newCluster(t, 2, append(env, "DYNCONFIG_ETCD_PASSWORD="+secret), "--log-level", "debug")
	start, err := put(t.Context(), c.client(t, c.only(t, c.nodes[0])), "start", 1)
	if err != nil {
		t.Fatal(err)
	}
	crowd := c.watch(t, 1, "app.*", start.Revision, func(int) *http.Client { return c.only(t, c.nodes[1]) })
	if _, err := put(t.Context(), c.client(t, c.only(t, c.nodes[0])), "app.a", 1); err != nil {
		t.Fatal(err)
	}
	crowd.await(t, map[string]int64{"app.a": 1})

	store.Kill(t)
	c.feels(t, c.nodes[0], core.Unhealthy)
	for _, n := range c.nodes {
		n.kill()
		if strings.Contains(n.log.String(), secret) {
			t.Errorf("the password is in the log:\n%s", n.log)
		}
	}

	store.Start(t)
	env[0] = "ETCD_ENDPOINTS=" + store.Endpoint
	said := c.nodes[0].refuses(t, append(env, "DYNCONFIG_ETCD_PASSWORD=wrong-secret"))
	if !strings.Contains(said, "dynconfig: Store refuses this server's user") || strings.Contains(said, "secret") {
		t.Errorf("with a wrong password: %s", said)
	}
}

// allow enables users at an etcd: root, and node, who may do everything below shared/config/.
func allow(t *testing.T, endpoint, ca, cert, key, root, secret string) {
	t.Helper()
	config, err := etcd.LoadTLS(ca, cert, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, TLS: config, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ctx, end := t.Context(), clientv3.GetPrefixRangeEnd("shared/config/")
	for _, step := range []func() (any, error){
		func() (any, error) { return c.UserAdd(ctx, "root", root) },
		func() (any, error) { return c.UserGrantRole(ctx, "root", "root") },
		func() (any, error) { return c.RoleAdd(ctx, "config") },
		func() (any, error) {
			return c.RoleGrantPermission(ctx, "config", "shared/config/", end, clientv3.PermissionType(clientv3.PermReadWrite))
		},
		func() (any, error) { return c.UserAdd(ctx, "node", secret) },
		func() (any, error) { return c.UserGrantRole(ctx, "node", "config") },
		func() (any, error) { return c.AuthEnable(ctx) },
	} {
		if _, err := step(); err != nil {
			t.Fatal(err)
		}
	}
}
