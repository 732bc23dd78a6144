package core

import (
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"
	"weak"
)

// Rules is an ACL interned by content: while it is in use, there is one Rules for all equal ACLs, so that its identity
// can stand for its content. Nobody changes it.
type Rules struct {
	ACL ACL
	id  uint64
}

// ID is unique to the content and never used for another one in this process; 0 for nil.
func (r *Rules) ID() uint64 {
	if r == nil {
		return 0
	}
	return r.id
}

// Chain is the records of an item's namespaces, interned by content as Rules are.
type Chain struct {
	Links []Link // outermost first, the root before all; only namespaces that have a record with an ACL
	id    uint64
}

// Link is one namespace's record.
type Link struct {
	Namespace string // RootName for the root
	Rules     *Rules
}

// ID is unique to the content and never used for another one in this process; 0 for nil.
func (c *Chain) ID() uint64 {
	if c == nil {
		return 0
	}
	return c.id
}

// interned holds the values in use by their content, and lets go of those that nobody uses.
type interned[T any] struct {
	mu     sync.Mutex
	byText map[string]weak.Pointer[T]
}

var (
	lastID    atomic.Uint64
	allRules  = interned[Rules]{byText: map[string]weak.Pointer[Rules]{}}
	allChains = interned[Chain]{byText: map[string]weak.Pointer[Chain]{}}
)

func (in *interned[T]) get(text string, make func(id uint64) *T) *T {
	in.mu.Lock()
	defer in.mu.Unlock()
	if v := in.byText[text].Value(); v != nil {
		return v
	}
	v := make(lastID.Add(1))
	w := weak.Make(v)
	in.byText[text] = w
	runtime.AddCleanup(v, func(text string) {
		in.mu.Lock()
		defer in.mu.Unlock()
		if in.byText[text] == w {
			delete(in.byText, text)
		}
	}, text)
	return v
}

// Intern returns the Rules of an ACL, nil for one that says nothing.
func Intern(a *ACL) *Rules {
	if a.Empty() {
		return nil
	}
	var text []byte
	for _, l := range [][]string{a.Read, a.Write, a.Admin} {
		if l == nil {
			text = append(text, 0)
			continue
		}
		text = binary.AppendUvarint(append(text, 1), uint64(len(l)))
		for _, e := range l {
			text = append(binary.AppendUvarint(text, uint64(len(e))), e...)
		}
	}
	return allRules.get(string(text), func(id uint64) *Rules { return &Rules{ACL: *a, id: id} })
}

// InternChain returns the Chain of links, nil for none.
func InternChain(links []Link) *Chain {
	if len(links) == 0 {
		return nil
	}
	var text []byte
	for _, l := range links {
		text = append(binary.AppendUvarint(text, uint64(len(l.Namespace))), l.Namespace...)
		text = binary.AppendUvarint(text, l.Rules.ID())
	}
	return allChains.get(string(text), func(id uint64) *Chain { return &Chain{Links: links, id: id} })
}
