package client

import (
	"cmp"
	"slices"

	"github.com/dynconfig/dynconfig/core"
)

// Change is what became of a key in a Mirror.
type Change struct {
	Key string
	Was *Value // nil: there was none
	Is  *Value // nil: there is none
}

// hook is a function that wants to know of changes.
type hook struct {
	pattern core.Pattern
	f       func(Change)
}

// OnChange has f told of every change to a key that the pattern selects, in order and after the Mirror shows it; the first
// snapshot too counts as changes. f is called from Run, which waits for it. cancel ends that; f may still be running then.
func (m *Mirror) OnChange(pattern string, f func(Change)) (cancel func(), err error) {
	p, err := core.ParsePattern(pattern)
	if err != nil {
		return nil, err
	}
	h := &hook{pattern: p, f: f}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hooks = append(slices.Clone(m.hooks), h)
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.hooks = slices.DeleteFunc(slices.Clone(m.hooks), func(other *hook) bool { return other == h })
	}, nil
}

// tell calls the hooks, without a lock: they may read the Mirror.
func (m *Mirror) tell(changes []Change) {
	m.mu.RLock()
	hooks := m.hooks
	m.mu.RUnlock()
	for _, c := range changes {
		for _, h := range hooks {
			if h.pattern.Match(c.Key) {
				h.f(c)
			}
		}
	}
}

func appendChange(changes []Change, key string, was Value, had bool, is Value, has bool) []Change {
	c := Change{Key: key}
	if had {
		c.Was = &was
	}
	if has {
		c.Is = &is
	}
	if !had && !has || had && has && same(was, is) {
		return changes
	}
	return append(changes, c)
}

func sortChanges(changes []Change) {
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Key, b.Key) })
}
