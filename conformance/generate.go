package conformance

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// generator makes transactions at random over a few keys.
type generator struct {
	*rand.Rand
	made int
	name string
}

func newGenerator(seed, stream uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, stream)), name: fmt.Sprintf("%d-%d-", seed, stream)}
}

var modelKeys = []core.Key{"B", "a", "a\x00", "a%", "a.b", "a/b", "b", "é", "\xff"} // in order

var modelACLs = []*core.ACL{
	nil, nil, {Read: []string{}}, {Read: []string{"ann"}}, {Read: []string{"ann"}, Write: []string{}}, {Admin: []string{"bob", "ann", "svc:*"}},
}

func (g *generator) key() core.Key { return modelKeys[g.IntN(len(modelKeys))] }

// bound is a key, or a place between keys, or none.
func (g *generator) bound() core.Key {
	switch g.IntN(4) {
	case 0:
		return ""
	case 1:
		return g.key() + "\x00"
	default:
		return g.key()
	}
}

// txn makes a transaction. Its checks are mostly true of state.
func (g *generator) txn(state map[core.Key]core.Entry) core.Txn {
	g.made++
	tx := core.Txn{Meta: core.Meta{
		ID: g.name + strconv.Itoa(g.made), Author: []string{"ann", "bob", ""}[g.IntN(3)],
		Time: now().Add(time.Duration(g.IntN(2000)-1000) * time.Millisecond),
	}}
	if g.IntN(3) == 0 {
		tx.Meta.Note, tx.Meta.Attrs = "note", map[string]string{"made": strconv.Itoa(g.made)}
	}
	for _, k := range g.Perm(len(modelKeys))[:g.IntN(5)] {
		tx.Ops = append(tx.Ops, g.op(modelKeys[k]))
	}
	for range g.IntN(3) {
		tx.Checks = append(tx.Checks, g.check(state))
	}
	return tx
}

func (g *generator) op(key core.Key) core.Op {
	op := core.Op{Key: key, Do: core.OpPut}
	switch g.IntN(10) {
	case 0, 1:
		op.Do = core.OpDelete
		if g.IntN(2) == 0 {
			op.Doc.Attrs = map[string]string{"expired": "true"}
		}
		return op
	case 2:
		op.Do = core.OpPurge
		return op
	}
	op.Doc = core.Doc{Value: fmt.Appendf(nil, "%d", g.IntN(5)), ACL: modelACLs[g.IntN(len(modelACLs))]}
	if g.IntN(50) == 0 {
		op.Doc.Value = make([]byte, 1<<g.IntN(18))
	}
	if g.IntN(4) == 0 {
		op.Doc.TTL, op.Doc.Expires = time.Minute, now().Add(time.Minute)
	}
	if g.IntN(6) == 0 {
		op.Doc.Attrs = map[string]string{"x": strconv.Itoa(g.IntN(3))}
	}
	return op
}

func (g *generator) check(state map[core.Key]core.Entry) core.Check {
	c := core.Check{Key: g.key()}
	e := state[c.Key]
	switch g.IntN(12) {
	case 0: // wrong
		e.Version += int64(g.IntN(3) - 1)
		e.Rules += core.Revision(g.IntN(3) - 1)
	case 1: // wrong unless there is nothing
		e.Version, e.Rules = 0, 0
	}
	if g.IntN(2) == 0 {
		c.Version = &e.Version
	}
	if g.IntN(2) == 0 {
		c.Rules = &e.Rules
	}
	return c
}
