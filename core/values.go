package core

import (
	"context"
	"sync"
	"sync/atomic"
)

// values is the cache of entries with their values, bounded by bytes. An entry hangs on the item of its version, so that
// what is found there cannot be stale; values only decides what stays. The order of eviction is CLOCK: what was used since
// the hand last passed stays another round. Behind it stands the cache that nodes share, if there is one, then the store.
type values struct {
	store Store
	cache Cache
	epoch func() string
	limit int64 // bytes

	mu    sync.Mutex
	bytes int64
	ring  []slot // the hand is at the front

	hits, misses atomic.Uint64
}

type slot struct {
	it   *item
	size int64
}

const entryOverhead = 256 // about what an entry takes beside its value

// forget drops the cached value of an item that was superseded. Its slot stays until the hand comes by.
func (it *item) forget() { it.entry.Store(nil) }

// keep caches an entry at its item.
func (v *values) keep(it *item, e *Entry) {
	size := int64(len(e.Doc.Value)) + entryOverhead
	if it.deleted || size > v.limit/8 {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if !it.entry.CompareAndSwap(nil, e) {
		return
	}
	v.ring = append(v.ring, slot{it, size})
	v.bytes += size
	for v.bytes > v.limit {
		oldest := v.ring[0]
		v.ring[0], v.ring = slot{}, v.ring[1:]
		if oldest.it.used.Swap(false) && oldest.it.entry.Load() != nil {
			v.ring = append(v.ring, oldest)
			continue
		}
		oldest.it.entry.Store(nil)
		v.bytes -= oldest.size
	}
}

// cached returns an item's entry if it is in the process, else nil.
func (v *values) cached(it *item) *Entry {
	e := it.entry.Load()
	if e == nil {
		v.misses.Add(1)
		return nil
	}
	if !it.used.Load() {
		it.used.Store(true)
	}
	v.hits.Add(1)
	return e
}

// fetchBatch is how many values are asked of the store at once, so that even the largest fit in memory.
const fetchBatch = 32

// fetch returns the entries of items, in their order. Where the store has moved on, the entry is a newer one, or nil if
// the key is gone.
func (v *values) fetch(ctx context.Context, items []*item) ([]*Entry, error) {
	entries := make([]*Entry, len(items))
	missing := make(map[Key]int)
	for i, it := range items {
		if entries[i] = v.cached(it); entries[i] == nil && len(items) == 1 {
			entries[i] = v.shared(ctx, it) // of many, the store is quicker
		}
		if entries[i] == nil {
			missing[it.key] = i
		}
		if len(missing) == fetchBatch || i == len(items)-1 {
			if err := v.load(ctx, items, entries, missing); err != nil {
				return nil, err
			}
			clear(missing)
		}
	}
	return entries, nil
}

func (v *values) load(ctx context.Context, items []*item, entries []*Entry, missing map[Key]int) error {
	if len(missing) == 0 {
		return nil
	}
	keys := make([]Key, 0, len(missing))
	var atLeast Revision
	for k, i := range missing {
		keys = append(keys, k)
		atLeast = max(atLeast, items[i].revision)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	page, err := v.store.Get(ctx, keys, atLeast)
	if err != nil {
		return err
	}
	for n := range page.Entries {
		e := &page.Entries[n]
		i := missing[e.Key]
		entries[i] = e
		if e.Version == items[i].version && e.Revision == items[i].revision {
			v.keep(items[i], e)
			if v.cache != nil {
				_ = v.cache.Put(ctx, v.epoch(), *e) // only a later read is slower without it
			}
		}
	}
	return nil
}

// shared looks into the cache that nodes share.
func (v *values) shared(ctx context.Context, it *item) *Entry {
	if v.cache == nil || it.deleted {
		return nil
	}
	e, err := v.cache.Get(ctx, v.epoch(), it.key, it.version)
	if err != nil || e == nil || e.Revision != it.revision {
		return nil // the store answers instead
	}
	v.keep(it, e)
	return e
}
