package etcd

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dynconfig/dynconfig/core"
)

// sighting is what Status saw of the history.
type sighting struct {
	place place
	head  core.Revision
	epoch string
}

// rewritten reports whether what is seen later cannot follow: then the store was set back to an older state.
func (s *sighting) rewritten(later place, head core.Revision) bool {
	return s.place.mod > 0 && later != s.place && head <= s.head
}

// newEpoch gives the store another identity in the place of old, or its first one if there is none, and returns it. Of
// several nodes that try at once, one wins.
func (s *Store) newEpoch(ctx context.Context, old string) (string, error) {
	key := s.keys.epoch()
	still := clientv3.Compare(clientv3.CreateRevision(key), "=", 0)
	if old != "" {
		still = clientv3.Compare(clientv3.Value(key), "=", old)
	}
	epoch := strings.ToLower(rand.Text()[:12])
	r, err := s.txn(ctx, []clientv3.Cmp{still}, []clientv3.Op{clientv3.OpPut(key, epoch)}, []clientv3.Op{clientv3.OpGet(key)})
	if err == nil && !r.Succeeded {
		epoch = epochOf(r, 0)
	}
	return epoch, err
}

// epochOf reads the epoch from an answer; "" if somebody deleted it.
func epochOf(r *clientv3.TxnResponse, i int) string {
	kvs := r.Responses[i].GetResponseRange().Kvs
	if len(kvs) == 0 {
		return ""
	}
	return string(kvs[0].Value)
}

// clusterID makes etcd's cluster part of the epoch: one that was restored from a snapshot may have another, and has lost
// what came after the snapshot.
func clusterID(id uint64) string { return strconv.FormatUint(id, 36) }

// errOther is the answer to commits that were worked out on a history that is no more. It ends when the Engine, which Status
// has told, lists the store from its beginning: Status alone would not do, since others ask for the health.
func errOther() error {
	return core.Errorf(core.ErrUnavailable, "Store has another history now, which this node has not loaded yet")
}
