package embedded

import (
	"net/url"
	"sync"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
)

// serverConfig is etcd's configuration for a cluster of one member that nobody reaches but this process: it has no
// listener at all.
func serverConfig(dir string, o Options) *embed.Config {
	c := embed.NewConfig()
	c.Dir = dir
	c.Name = "dynconfig"
	c.ListenPeerUrls, c.ListenClientUrls, c.AdvertiseClientUrls = nil, nil, nil
	// A member needs an address to be told apart by. Nothing listens there.
	c.AdvertisePeerUrls = []url.URL{{Scheme: "unix", Host: "dynconfig"}}
	c.InitialCluster = c.Name + "=unix://dynconfig"
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zapLogger(o.Logger))

	// A member that is alone wins its election at once: a restart takes a tenth of a second, not one.
	c.TickMs, c.ElectionMs = 10, 100
	c.MaxTxnOps, c.MaxRequestBytes = uint(request.Ops), uint(request.Bytes)
	c.QuotaBackendBytes = o.QuotaBytes
	c.UnsafeNoFsync = o.unsynced
	// No member will ever have to catch up: fewer entries of the raft log in memory, on the disk, and to be read again at
	// the next start.
	c.SnapshotCount, c.SnapshotCatchUpEntries = 250, 1
	c.MaxSnapFiles, c.MaxWalFiles = 2, 2
	// keeper compacts: etcd's own compactor looks every five minutes only.
	c.AutoCompactionRetention = "0"
	return c
}

var segmentOnce sync.Once

// setSegment sets the size of WAL files, once: running servers read it.
func setSegment(bytes int64) {
	segmentOnce.Do(func() { wal.SegmentSizeBytes = bytes })
}
