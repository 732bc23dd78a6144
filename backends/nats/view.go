package nats

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/google/btree"

	"github.com/dynconfig/dynconfig/core"
)

// view is what a node has made of the messages of the stream, in their order: it is the same on every node that has come
// as far. Only the goroutine that follows the stream changes it.
type view struct {
	keys layout

	seq     uint64 // the last message
	lastLog uint64 // the last message on this epoch's log subject: what the server compares; 0: none
	self    uint64 // the last record that was applied
	selfSeq uint64 // and its message

	head  core.Revision
	floor core.Revision
	clock time.Time
	from  uint64 // nothing below it is needed, and it may be gone

	items    *btree.BTreeG[*item]
	batches  []batch                  // of every revision that is not below from, in order
	recent   []named                  // the newest of them, whose IDs are remembered
	ids      map[uint64]core.Revision // digests of those IDs
	low      map[uint64]uint64        // the first part of each message that has parts
	loose    map[string]loose         // blobs that no record refers to
	snap     snapshot                 // the newest
	lastSnap uint64                   // the last message on this epoch's snapshot subject
	since    struct {                 // what the log has grown by since it
		messages int
		bytes    int
	}
}

// batch says where commits are.
type batch struct {
	first core.Revision
	seq   uint64
	count int32
	size  int32 // of the record
}

// named is a batch with its IDs.
type named struct {
	first core.Revision
	ids   []uint64  // 0: a commit without one
	at    time.Time // when this node met it
}

func (b batch) last() core.Revision { return b.first + core.Revision(b.count) - 1 }

// loose is a blob that may yet be referred to.
type loose struct {
	first uint64 // its first message that was seen
	at    time.Time
}

// grown reports whether the log has grown since the last snapshot by so many messages, and by as much as it takes to
// write one.
func (v *view) grown(messages int) bool {
	return v.since.messages >= messages && v.since.bytes >= v.snap.Bytes
}

func newView(keys layout) *view {
	return &view{
		keys: keys, items: btree.NewG(32, lessItem),
		low: map[uint64]uint64{}, ids: map[uint64]core.Revision{}, loose: map[string]loose{},
	}
}

// digestOf stands for a Meta.ID. Who finds one compares the ID itself.
func digestOf(id string) uint64 {
	sum := sha256.Sum256([]byte(id))
	return binary.BigEndian.Uint64(sum[:])
}

// batchOf returns the batch that holds a revision.
func (v *view) batchOf(r core.Revision) (batch, bool) {
	i := v.batchFrom(r)
	if i == len(v.batches) || v.batches[i].first > r {
		return batch{}, false
	}
	return v.batches[i], true
}

// batchFrom finds the first batch that does not end before a revision.
func (v *view) batchFrom(r core.Revision) int {
	i, _ := slices.BinarySearchFunc(v.batches, r, func(b batch, r core.Revision) int {
		if b.last() < r {
			return -1
		}
		return 1
	})
	return i
}

// need returns the first message that is needed to read the one at seq.
func (v *view) need(seq uint64) uint64 {
	if low, ok := v.low[seq]; ok {
		return low
	}
	return seq
}

func (v *view) get(k core.Key) *item {
	it, _ := v.items.Get(&item{entry: core.Entry{Key: k}})
	return it
}

// take applies a record that was checked to be the next. shorter is what its Clean makes of items.
func (v *view) take(m *message, r *record, shorter []*item, seq uint64, size int, now time.Time) {
	v.self, v.selfSeq = m.Self, seq
	v.since.messages++
	v.since.bytes += size
	if m.Blob != "" {
		delete(v.loose, m.Blob)
		v.low[seq] = slices.Min(append(m.Parts, seq))
	}
	if len(r.Commits) > 0 {
		v.takeBatch(r, seq, size, now)
	}
	for _, mv := range r.Moved {
		if it := v.get(mv.Change.Key); it != nil {
			v.items.ReplaceOrInsert(it.moved(mv.Revision, seq))
		}
	}
	if r.Clean != nil {
		v.takeClean(r.Clean, shorter)
	}
}

func (v *view) takeBatch(r *record, seq uint64, size int, now time.Time) {
	n := named{first: r.First, at: now, ids: make([]uint64, len(r.Commits))}
	for i := range r.Commits {
		c := r.commit(i)
		for _, ch := range c.Changes {
			if ch.Do == core.OpPurge {
				v.items.Delete(&item{entry: core.Entry{Key: ch.Entry.Key}})
			} else {
				v.items.ReplaceOrInsert(v.get(ch.Entry.Key).next(ch, seq))
			}
		}
		if c.Meta.ID != "" {
			n.ids[i] = digestOf(c.Meta.ID)
		}
		v.head, v.clock = c.Revision, c.Meta.Time
	}
	v.batches = append(v.batches, batch{first: r.First, seq: seq, count: int32(len(r.Commits)), size: int32(size)})
	v.remember(n)
}

// shorten returns the items whose histories a Clean shortens.
func (v *view) shorten(c *clean) (shorter []*item) {
	if c == nil || c.Keep < 0 {
		return nil
	}
	v.items.Ascend(func(it *item) bool {
		if t := it.trimmed(c.UpTo, c.Keep); t != it {
			shorter = append(shorter, t)
		}
		return true
	})
	return shorter
}

func (v *view) takeClean(c *clean, shorter []*item) {
	v.floor = max(v.floor, c.UpTo)
	for _, it := range shorter {
		v.items.ReplaceOrInsert(it)
	}
	for _, blob := range c.Swept {
		delete(v.loose, blob)
	}
	if c.From <= v.from {
		return
	}
	v.from = c.From
	gone := 0
	for gone < len(v.batches) && v.need(v.batches[gone].seq) < v.from {
		gone++
	}
	v.batches = slices.Clone(v.batches[gone:])
	for len(v.recent) > 0 && (len(v.batches) == 0 || v.recent[0].first < v.batches[0].first) {
		v.forget()
	}
	maps.DeleteFunc(v.low, func(_, low uint64) bool { return low < v.from })
	maps.DeleteFunc(v.loose, func(_ string, l loose) bool { return l.first < v.from })
}

// takePart notes a part of a blob that no record refers to yet.
func (v *view) takePart(blob string, seq uint64, now time.Time) {
	if _, known := v.loose[blob]; !known {
		v.loose[blob] = loose{first: seq, at: now}
	}
}

// takeSnapshot notes the newest snapshot; the one before it is of no use any more. own is whether this epoch's subject has
// it.
func (v *view) takeSnapshot(p snapshot, own bool, now time.Time) {
	if v.snap.Blob != "" {
		v.loose[v.snap.Blob] = loose{first: v.snap.first(), at: now}
	}
	delete(v.loose, p.Blob)
	v.snap = p
	if own {
		v.lastSnap = p.seq
	}
	v.since.messages, v.since.bytes = 0, 0
}

// remember remembers the IDs of the newest batch.
func (v *view) remember(n named) {
	v.recent = append(v.recent, n)
	for i, id := range n.ids {
		if id != 0 {
			v.ids[id] = n.first + core.Revision(i)
		}
	}
}

// forgetOld forgets the IDs of batches that this node met before an instant.
func (v *view) forgetOld(before time.Time) {
	for len(v.recent) > 0 && v.recent[0].at.Before(before) {
		v.forget()
	}
}

// forget forgets the IDs of the oldest batch that has some.
func (v *view) forget() {
	n := v.recent[0]
	v.recent = v.recent[1:]
	for i, id := range n.ids {
		if v.ids[id] == n.first+core.Revision(i) {
			delete(v.ids, id)
		}
	}
}
