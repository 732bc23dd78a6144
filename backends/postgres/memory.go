package postgres

import "github.com/dynconfig/dynconfig/core"

// table is a bounded cache of the entries at the head that this node last saw: rules and versions, no values. A key that
// is known to have no entry is in it with version 0. It has two generations: when the young one is full, the old one is
// dropped, so that what is used stays.
type table struct {
	young, old map[core.Key]core.Entry
	size       int // of the young
}

// tableBytes is about how much one generation holds.
const tableBytes = 16 << 20

func newTable() *table { return &table{young: map[core.Key]core.Entry{}} }

func (t *table) get(k core.Key) (core.Entry, bool) {
	if e, ok := t.young[k]; ok {
		return e, true
	}
	e, ok := t.old[k]
	if ok {
		t.put(e)
	}
	return e, ok
}

// collect returns the entries of keys, or false if one of them is not known.
func (t *table) collect(keys []core.Key) ([]core.Entry, bool) {
	entries := make([]core.Entry, 0, len(keys))
	for _, k := range keys {
		e, ok := t.get(k)
		if !ok {
			return nil, false
		}
		if e.Version > 0 {
			entries = append(entries, e)
		}
	}
	return entries, true
}

// put remembers what a later evaluation looks at. The ACL must be nobody else's.
func (t *table) put(e core.Entry) {
	e.Doc.Value, e.Doc.Attrs = nil, nil
	if _, ok := t.young[e.Key]; !ok {
		t.size += weight(e)
	}
	if t.size > tableBytes {
		t.old, t.young, t.size = t.young, map[core.Key]core.Entry{}, weight(e)
	}
	t.young[e.Key] = e
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
	return n
}
