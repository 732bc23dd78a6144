package embedded

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// overwrite puts a large value, always under the same few keys.
func overwrite(t *testing.T, b *core.Backend, n int) error {
	t.Helper()
	value := make([]byte, 1<<20)
	_, _ = rand.Read(value)
	_, err := b.Store.Commit(t.Context(), core.Txn{
		Meta: core.Meta{ID: fmt.Sprint(n)},
		Ops:  []core.Op{{Key: core.Key(fmt.Sprintf("key%d", n%4)), Do: core.OpPut, Doc: core.Doc{Value: value}}},
	})
	return err
}

// openSmall opens a store with a quota, and returns what lets time pass for it.
func openSmall(t *testing.T, quota int64) (b *core.Backend, k *keeper, later func(time.Duration)) {
	t.Helper()
	var ahead atomic.Int64
	o := settings()
	o.QuotaBytes = quota
	o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	b, k, err := open(t.Context(), t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b, k, func(d time.Duration) { ahead.Add(int64(d)) }
}

// full reports whether a commit was refused for want of room, and not because it took too long.
func full(err error) bool {
	var public *core.Error
	return errors.As(err, &public) && strings.HasPrefix(public.Detail, "Store is full")
}

func TestAFullStoreRefusesCommitsAndCanMakeRoom(t *testing.T) {
	const quota = 192 << 20
	b, k, later := openSmall(t, quota)
	n := 0
	var err error
	for !full(err) && n < 1000 {
		if err = overwrite(t, b, n); err != nil && !errors.Is(err, core.ErrUnavailable) {
			t.Fatal(err)
		}
		n++
	}
	if !full(err) {
		t.Fatalf("after %d MiB: got %v, want a full store", n, err)
	}
	head, err := b.Store.Sync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	later(2 * core.KeepIDs) // younger commits stay for repeats of their IDs
	err = insist(func() error {
		k.tend(t.Context())
		return b.Store.Compact(t.Context(), head, 1)
	})
	if err != nil {
		t.Fatalf("Compact in a full store: %v", err)
	}
	err = insist(func() error {
		k.tend(t.Context())
		return overwrite(t, b, n)
	})
	if err != nil {
		t.Fatalf("after compaction: %v", err)
	}
	if size, _ := k.sizes(); size > quota {
		t.Errorf("the database takes %d bytes, want at most %d", size, quota)
	}
}
