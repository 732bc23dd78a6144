package policy

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

var _ topdown.VirtualCache = (*memo)(nil)

// fewEntries is how many entries a memo compares one by one; with more it looks them up by their hash.
const fewEntries = 16

// memo remembers the rules and calls that one run has evaluated. It stands in for the evaluator's own, a tree of maps that
// costs more to build than the few rules of a usual run cost to evaluate. It is used again for other runs.
type memo struct {
	entries []memoEntry
	keys    []*ast.Term   // of the entries, one after another
	frames  []memoFrame   // the last is in force; each begins where a "with" does
	byHash  map[int][]int // the entries in force, once there are many
}

type memoEntry struct {
	hash     int
	from, to int // in keys
	value    *ast.Term
}

type memoFrame struct{ entries, keys int }

func newMemo() *memo { return &memo{frames: []memoFrame{{}}} }

// reset forgets everything, but not the room that it took.
func (m *memo) reset() {
	clear(m.entries)
	clear(m.keys)
	m.entries, m.keys, m.frames, m.byHash = m.entries[:0], m.keys[:0], m.frames[:1], nil
}

// Push begins a frame in which nothing is known.
func (m *memo) Push() {
	m.frames, m.byHash = append(m.frames, memoFrame{len(m.entries), len(m.keys)}), nil
}

// Pop returns to the frame before.
func (m *memo) Pop() {
	f := m.frames[len(m.frames)-1]
	m.frames, m.byHash = m.frames[:len(m.frames)-1], nil
	clear(m.entries[f.entries:])
	clear(m.keys[f.keys:])
	m.entries, m.keys = m.entries[:f.entries], m.keys[:f.keys]
}

// Get returns the value of a rule or call, or that it is known to be undefined.
func (m *memo) Get(ref ast.Ref) (value *ast.Term, undefined bool) {
	if e := m.find(ref, hashOf(ref)); e != nil {
		return e.value, e.value == nil
	}
	return nil, false
}

// Put notes the value of a rule or call, nil for undefined.
func (m *memo) Put(ref ast.Ref, value *ast.Term) {
	hash := hashOf(ref)
	if e := m.find(ref, hash); e != nil {
		e.value = value
		return
	}
	from := len(m.keys)
	m.keys = append(m.keys, ref...) // ref itself is used again by its owner
	m.entries = append(m.entries, memoEntry{hash, from, len(m.keys), value})
	if m.byHash != nil {
		m.byHash[hash] = append(m.byHash[hash], len(m.entries)-1)
	}
}

// Keys returns what the frame in force has entries of.
func (m *memo) Keys() []ast.Ref {
	var refs []ast.Ref
	for _, e := range m.entries[m.frames[len(m.frames)-1].entries:] {
		refs = append(refs, append(ast.Ref{}, m.keys[e.from:e.to]...))
	}
	return refs
}

func (m *memo) find(ref ast.Ref, hash int) *memoEntry {
	inForce := m.entries[m.frames[len(m.frames)-1].entries:]
	if len(inForce) <= fewEntries {
		for i := range inForce {
			if e := &inForce[i]; e.hash == hash && m.is(e, ref) {
				return e
			}
		}
		return nil
	}
	if m.byHash == nil {
		m.byHash = map[int][]int{}
		for i := len(m.entries) - len(inForce); i < len(m.entries); i++ {
			m.byHash[m.entries[i].hash] = append(m.byHash[m.entries[i].hash], i)
		}
	}
	for _, i := range m.byHash[hash] {
		if e := &m.entries[i]; m.is(e, ref) {
			return e
		}
	}
	return nil
}

func (m *memo) is(e *memoEntry, ref ast.Ref) bool {
	return slices.EqualFunc(m.keys[e.from:e.to], ref, (*ast.Term).Equal)
}

func hashOf(ref ast.Ref) int {
	hash := 0
	for _, t := range ref {
		hash = hash*31 + t.Hash()
	}
	return hash
}
