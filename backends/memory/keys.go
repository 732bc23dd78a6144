package memory

import (
	"slices"

	"github.com/dynconfig/dynconfig/core"
)

// keys are the store's keys in byte order. New ones wait until somebody asks for the order, so that loading many keys
// costs one merge and not one insertion each.
type keys struct {
	sorted []core.Key // may hold keys that were purged since
	added  []core.Key
}

func (k *keys) add(key core.Key) { k.added = append(k.added, key) }

// settle merges what was added and drops what gone reports.
func (k *keys) settle(gone func(core.Key) bool) {
	if len(k.added) == 0 {
		return
	}
	slices.Sort(k.added)
	merged := make([]core.Key, 0, len(k.sorted)+len(k.added))
	take := func(key core.Key) {
		if (len(merged) == 0 || merged[len(merged)-1] != key) && !gone(key) {
			merged = append(merged, key)
		}
	}
	old := k.sorted
	for _, key := range k.added {
		for len(old) > 0 && old[0] <= key {
			take(old[0])
			old = old[1:]
		}
		take(key)
	}
	for _, key := range old {
		take(key)
	}
	k.sorted, k.added = merged, nil
}

// from returns the sorted keys at or after key.
func (k *keys) from(key core.Key) []core.Key {
	i, _ := slices.BinarySearch(k.sorted, key)
	return k.sorted[i:]
}
