package embedded

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver"

	"github.com/dynconfig/dynconfig/core"
)

// keeper bounds the disk: it compacts etcd's old revisions, which nobody reads, defragments, and refuses commits before
// etcd's quota is reached, since etcd then refuses to make room as well.
type keeper struct {
	server *etcdserver.EtcdServer
	client *clientv3.Client
	log    *slog.Logger
	quota  int64

	mu        sync.Mutex
	revision  int64     // of etcd, when it was compacted last
	used      int64     // after that
	compacted time.Time // when that was

	ctx    context.Context
	cancel context.CancelFunc
	loop   sync.WaitGroup
}

const (
	keepInterval = 5 * time.Second
	// A compaction reads the whole database: it comes when that has grown by a quarter, or by this much,
	worthCompact = 64 << 20
	// or after so long.
	compactInterval = 5 * time.Minute
	slack           = 128 << 20
	worthDefrag     = 16 << 20 // what a database file has to have for a defragmentation
)

func newKeeper(s *etcdserver.EtcdServer, c *clientv3.Client, o Options) *keeper {
	k := &keeper{server: s, client: c, log: o.Logger, quota: o.QuotaBytes, compacted: time.Now()}
	_, k.used = k.sizes()
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
			k.tend(k.ctx)
		}
	}
}

// sizes returns the size of the database file, and how much of it is used.
func (k *keeper) sizes() (size, used int64) {
	b := k.server.Backend()
	return b.Size(), b.SizeInUse()
}

// room is how much may be used: seven eighths of the quota. The rest is for compaction, which writes as well, and for
// what etcd counts a tenth of a second late.
func (k *keeper) room() int64 { return k.quota - max(k.quota/8, min(slack, k.quota/2)) }

// full is asked before every commit.
func (k *keeper) full() error {
	if _, used := k.sizes(); used > k.room() {
		return core.Errorf(core.ErrUnavailable, "Store is full: its data directory has reached its quota")
	}
	return nil
}

// tend does what is due.
func (k *keeper) tend(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, used := k.sizes()
	if used > k.room() {
		k.log.Error("the store is full: commits are refused", "used", used, "quota", k.quota)
	}
	if used > k.room() || used-k.used > max(worthCompact, k.used/4) || time.Since(k.compacted) > compactInterval {
		k.compact(ctx)
	}
	if size, used := k.sizes(); size > k.quota/4*3 && size-used > size/4 {
		k.defragment() // before the quota is reached because of what is free
	}
	k.disarm(ctx)
}

// defragmentIfHalfFree is for the start, when nobody waits yet.
func (k *keeper) defragmentIfHalfFree() {
	if size, used := k.sizes(); size > worthDefrag && used < size/2 {
		k.defragment()
	}
}

// compact drops etcd's own old revisions of records that were overwritten or deleted.
func (k *keeper) compact(ctx context.Context) {
	revision := k.server.KV().Rev()
	if revision == k.revision {
		return
	}
	if _, err := k.client.Compact(ctx, revision, clientv3.WithCompactPhysical()); err != nil {
		if ctx.Err() == nil {
			k.log.Warn("etcd was not compacted", "error", err)
		}
		return
	}
	k.revision, k.compacted = revision, time.Now()
	_, k.used = k.sizes()
}

// disarm clears the alarm that etcd raised when the file reached the quota, free parts included. Until then etcd refuses
// to write, also what compaction writes.
func (k *keeper) disarm(ctx context.Context) {
	size, used := k.sizes()
	if used > k.quota-k.quota/16 || !k.alarmed(ctx) {
		return
	}
	if size > k.room() {
		k.defragment()
	}
	_, err := k.client.AlarmDisarm(ctx, &clientv3.AlarmMember{})
	k.log.Warn("etcd's quota was reached, and there is room again", "error", err)
}

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

// defragment rewrites the database file. Writers wait meanwhile.
func (k *keeper) defragment() {
	before, _ := k.sizes()
	if err := k.server.Backend().Defrag(); err != nil {
		k.log.Warn("the store was not defragmented", "error", err)
		return
	}
	after, _ := k.sizes()
	k.log.Info("the store was defragmented", "before", before, "after", after)
}
