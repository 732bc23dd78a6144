package etcd

import (
	"crypto/sha256"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// digest stands for a Meta.ID.
type digest [16]byte

func digestOf(id string) digest {
	sum := sha256.Sum256([]byte(id))
	return digest(sum[:16])
}

// remembered is one ID and the commit that had it.
type remembered struct {
	digest   digest
	revision core.Revision
}

// ids knows the IDs of recent commits, of every node. upTo is the last revision whose IDs it has.
type ids struct {
	upTo     core.Revision
	byDigest map[digest]core.Revision
	batches  []idBatch // oldest first
}

type idBatch struct {
	at  time.Time
	ids []remembered
}

func newIDs() *ids { return &ids{byDigest: map[digest]core.Revision{}} }

func (m *ids) add(at time.Time, batch []remembered, upTo core.Revision) {
	for _, id := range batch {
		m.byDigest[id.digest] = id.revision
	}
	m.batches = append(m.batches, idBatch{at: at, ids: batch})
	m.upTo = upTo
}

func (m *ids) forget(before time.Time) {
	for len(m.batches) > 0 && m.batches[0].at.Before(before) {
		for _, id := range m.batches[0].ids {
			if m.byDigest[id.digest] == id.revision {
				delete(m.byDigest, id.digest)
			}
		}
		m.batches = m.batches[1:]
	}
}

// table is a bounded cache of the entries at the head that this node last saw: rules and versions, no values. A key that
// is known to have no entry is in it with version 0. It has two generations: when the young one is full, the old one is
// dropped, so that what is used stays.
type table struct {
	young, old map[core.Key]held
	size       int // of the young
}

// tableBytes is about how much one generation holds.
const tableBytes = 16 << 20

func newTable() *table { return &table{young: map[core.Key]held{}} }

func (t *table) get(k core.Key) (held, bool) {
	if h, ok := t.young[k]; ok {
		return h, true
	}
	h, ok := t.old[k]
	if ok {
		t.put(h)
	}
	return h, ok
}

// collect puts what it has of keys into entries, and returns the others.
func (t *table) collect(keys []core.Key, entries map[core.Key]held) (absent []core.Key) {
	for _, k := range keys {
		if h, ok := t.get(k); ok {
			entries[k] = h
		} else {
			absent = append(absent, k)
		}
	}
	return absent
}

func (t *table) put(h held) {
	h.Doc.Value, h.large = nil, large{}
	if _, ok := t.young[h.Key]; !ok {
		t.size += weight(h.Entry)
	}
	if t.size > tableBytes {
		t.old, t.young, t.size = t.young, map[core.Key]held{}, weight(h.Entry)
	}
	t.young[h.Key] = h
}

// weight is about how many bytes an entry takes without its value.
func weight(e core.Entry) int {
	n := 300 + len(e.Key)
	if a := e.Doc.ACL; a != nil {
		for _, list := range [][]string{a.Read, a.Write, a.Admin} {
			for _, name := range list {
				n += 16 + len(name)
			}
		}
	}
	for k, v := range e.Doc.Attrs {
		n += 32 + len(k) + len(v)
	}
	return n
}
