package core

// candidate is an item that a list may show, and the chain of its namespaces, both at one revision.
type candidate struct {
	item  *item
	name  string
	chain *Chain
}

// candidates appends those of a range to a slice until it is full.
func (x *index) candidates(s span, to []candidate) []candidate {
	x.mu.RLock()
	defer x.mu.RUnlock()
	x.order.ascend(s.from, s.to, func(it *item) bool {
		env, kind, name, _ := it.key.Split()
		at := candidate{item: it, name: name}
		if n := len(to); n > 0 && neighbours(to[n-1].name, name) {
			at.chain = to[n-1].chain
		} else {
			at.chain = x.chain(env, kind, name)
		}
		to = append(to, at)
		return len(to) < cap(to)
	})
	return to
}

// neighbours reports whether two names lie in the same namespace. The root's own name lies nowhere.
func neighbours(a, b string) bool {
	n := len(a) - 1
	for n > 0 && !separator(a[n]) {
		n--
	}
	if n <= 0 || len(b) <= n || !separator(b[n]) || a[:n] != b[:n] {
		return false
	}
	for i := n + 1; i < len(b); i++ {
		if separator(b[i]) {
			return false
		}
	}
	return true
}
