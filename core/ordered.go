package core

import (
	"slices"
	"sort"
)

// ordered keeps items in key order, in blocks, so that an insertion moves hundreds of pointers and not a million.
type ordered struct {
	blocks [][]*item // none empty
	n      int
}

const blockSize = 512

// find returns the block and the place in it at which key is, or would be put.
func (o *ordered) find(key Key) (b, i int, found bool) {
	b = max(sort.Search(len(o.blocks), func(b int) bool { return o.blocks[b][0].key > key })-1, 0)
	if len(o.blocks) == 0 {
		return 0, 0, false
	}
	i, found = slices.BinarySearchFunc(o.blocks[b], key, func(it *item, k Key) int {
		switch {
		case it.key < k:
			return -1
		case it.key > k:
			return 1
		}
		return 0
	})
	return b, i, found
}

// set puts an item in its place, instead of the one of the same key if there is one.
func (o *ordered) set(it *item) {
	b, i, found := o.find(it.key)
	if found {
		o.blocks[b][i] = it
		return
	}
	o.n++
	if len(o.blocks) == 0 {
		o.blocks = [][]*item{append(make([]*item, 0, 8), it)}
		return
	}
	block := slices.Insert(o.blocks[b], i, it)
	if len(block) <= blockSize {
		o.blocks[b] = block
		return
	}
	half := len(block) / 2
	if i == len(block)-1 && b == len(o.blocks)-1 {
		half = i // keys that come in order fill their blocks
	}
	tail := append(make([]*item, 0, blockSize+1), block[half:]...)
	clear(block[half:])
	o.blocks[b] = block[:half]
	o.blocks = slices.Insert(o.blocks, b+1, tail)
}

// remove takes the item of a key out.
func (o *ordered) remove(key Key) {
	b, i, found := o.find(key)
	if !found {
		return
	}
	o.n--
	o.blocks[b] = slices.Delete(o.blocks[b], i, i+1)
	if len(o.blocks[b]) == 0 {
		o.blocks = slices.Delete(o.blocks, b, b+1)
	}
}

// ascend calls yield for the items with from <= key < to until it returns false; an empty to is the end.
func (o *ordered) ascend(from, to Key, yield func(*item) bool) {
	b, i, _ := o.find(from)
	for ; b < len(o.blocks); b, i = b+1, 0 {
		for _, it := range o.blocks[b][i:] {
			if to != "" && it.key >= to || !yield(it) {
				return
			}
		}
	}
}
