package embedded

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver"

	"github.com/dynconfig/dynconfig/core"
)

// keeper bounds the disk: it compacts etcd's old revisions, which nobody reads, defragments, and refuses commits before
// etcd's quota is reached, since etcd then refuses to compact as well.
type keeper struct {
	server *etcdserver.EtcdServer
	client *clientv3.Client
	log    *slog.Logger
	quota  int64

	isFull    atomic.Bool
	compacted int64 // etcd's revision

	ctx    context.Context
	cancel context.CancelFunc
	loop   sync.WaitGroup
}

const (
	keepInterval  = 5 * time.Second
	keepRevisions = 1000 // of etcd: for readers of several requests
	worthDefrag   = 16 << 20
)

func newKeeper(s *etcdserver.EtcdServer, c *clientv3.Client, o Options) *keeper {
	k := &keeper{server: s, client: c, log: o.Logger, quota: o.QuotaBytes}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k
}

func (k *keeper) start() { k.loop.Go(k.run) }

func (k *keeper) stop() {
	k.cancel()
	k.loop.Wait()
}

func (k *keeper) run() {
	tick := time.NewTicker(keepInterval)
	defer tick.Stop()
	for {
		select {
		case <-k.ctx.Done():
			return
		case <-tick.C:
			k.compact(k.ctx)
			k.weigh(k.ctx)
		}
	}
}

// full is asked before every commit.
func (k *keeper) full() error {
	if k.isFull.Load() {
		return core.Errorf(core.ErrUnavailable, "Store is full: its data directory has reached the quota")
	}
	return nil
}

// atStart defragments a file of which over half is free, and clears the alarm that a full store left.
func (k *keeper) atStart(ctx context.Context) {
	if size, used := k.sizes(); size > worthDefrag && used < size/2 {
		k.defragment()
	}
	k.weigh(ctx)
}

func (k *keeper) sizes() (size, used int64) {
	b := k.server.Backend()
	return b.Size(), b.SizeInUse()
}

// compact drops etcd's own old revisions of records that were overwritten or deleted.
func (k *keeper) compact(ctx context.Context) {
	at := k.server.KV().Rev() - keepRevisions
	if at < k.compacted+keepRevisions {
		return
	}
	if _, err := k.client.Compact(ctx, at); err != nil && ctx.Err() == nil {
		k.log.Warn("etcd was not compacted", "error", err)
	}
	k.compacted = at
}

// weigh refuses commits from seven eighths of the quota on. A file that has grown near it though over half is free is
// defragmented, which writers wait for.
func (k *keeper) weigh(ctx context.Context) {
	size, used := k.sizes()
	if size > k.quota/4*3 && used < size/2 {
		k.defragment()
		size, used = k.sizes()
	}
	room := k.quota - k.quota/8
	full := used > room
	if full && !k.isFull.Load() {
		k.log.Error("the store is full: commits are refused", "used", used, "quota", k.quota)
	}
	if k.isFull.Store(full); !full && k.alarmed(ctx) {
		if size > room {
			k.defragment()
		}
		_, err := k.client.AlarmDisarm(ctx, &clientv3.AlarmMember{})
		k.log.Warn("etcd's quota was reached, and there is room again", "error", err)
	}
}

// alarmed reports whether etcd refuses writes because its quota was reached.
func (k *keeper) alarmed(ctx context.Context) bool {
	r, err := k.client.AlarmList(ctx)
	if err != nil {
		return false
	}
	for _, a := range r.Alarms {
		if a.Alarm == etcdserverpb.AlarmType_NOSPACE {
			return true
		}
	}
	return false
}

func (k *keeper) defragment() {
	before, _ := k.sizes()
	if err := k.server.Backend().Defrag(); err != nil {
		k.log.Warn("the store was not defragmented", "error", err)
		return
	}
	after, _ := k.sizes()
	k.log.Info("the store was defragmented", "before", before, "after", after)
}
