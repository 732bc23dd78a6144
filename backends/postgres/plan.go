package postgres

import (
	"slices"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// plan is what a batch comes to.
type plan struct {
	overlay  *core.Overlay
	repeated map[string]core.Commit // those that transactions of the batch repeat, by their IDs
	commits  []core.Commit
	purged   []core.Key
}

// evaluate applies transactions one after another. One whose ID is known is answered with its first commit.
func (p *plan) evaluate(txns []core.Txn) []core.Answer {
	answers := make([]core.Answer, len(txns))
	inBatch := map[string]int{}
	for i, txn := range txns {
		id := txn.Meta.ID
		if first, ok := inBatch[id]; ok && id != "" {
			answers[i] = answers[first]
			answers[i].Commit.Changes = slices.Clone(answers[i].Commit.Changes)
			continue
		}
		if first, ok := p.repeated[id]; ok && id != "" {
			answers[i].Commit = first
			continue
		}
		c, err := p.overlay.Apply(txn)
		if err != nil {
			answers[i].Err = err
			continue
		}
		inBatch[id] = i
		p.commits = append(p.commits, c)
		answers[i].Commit = c
		for _, ch := range c.Changes {
			if ch.Do == core.OpPurge {
				p.purged = append(p.purged, ch.Entry.Key)
			}
		}
	}
	return answers
}

func idsOf(txns []core.Txn) []string {
	ids := make([]string, 0, len(txns))
	for _, t := range txns {
		if t.Meta.ID != "" {
			ids = append(ids, encodeText(t.Meta.ID))
		}
	}
	return ids
}

// columns are the rows of the table changes that a plan writes, column by column, as unnest takes them.
type columns struct {
	revision     []int64
	place        []int32
	key, op      []string
	version      []int64
	rules        []int64
	value        [][]byte
	acl          []*string
	ttl          []int64
	expires      []*time.Time
	attrs        []*string
	was          []int32
	wasACL       []*string
	time         []time.Time
	author, note []string
	id           []string
	meta         []*string
	hidden       []bool
	present      []bool // the row is the key's entry after the batch
}

// The bits of the column was.
const (
	wasThere   = 1
	wasDeleted = 2
	wasSameACL = 4
)

// opNames is how the column op spells an OpKind.
var opNames = map[core.OpKind]string{core.OpPut: "put", core.OpDelete: "delete", core.OpPurge: "purge"}

func (c *columns) args() []any {
	return []any{
		c.revision, c.place, c.key, c.op, c.version, c.rules, c.value, c.acl, c.ttl, c.expires, c.attrs, c.was, c.wasACL,
		c.time, c.author, c.note, c.id, c.meta, c.hidden, c.present,
	}
}

func (p *plan) columns() *columns {
	c := &columns{}
	for _, commit := range p.commits {
		meta := encodeAttrs(commit.Meta.Attrs)
		if len(commit.Changes) == 0 {
			c.add(&commit, 0, &core.Change{}, meta)
			c.hidden[len(c.hidden)-1] = true
		}
		for i := range commit.Changes {
			c.add(&commit, i, &commit.Changes[i], meta)
		}
	}
	// From the end: the last change of a key is its entry, and a purge hides what came before it.
	seen, purged := map[string]bool{}, map[string]bool{}
	for i := len(c.key) - 1; i >= 0; i-- {
		k := c.key[i]
		purged[k] = purged[k] || c.op[i] == opNames[core.OpPurge]
		c.hidden[i] = c.hidden[i] || purged[k]
		c.present[i] = !c.hidden[i] && !seen[k]
		seen[k] = true
	}
	return c
}

func (c *columns) add(commit *core.Commit, place int, ch *core.Change, meta *string) {
	e := &ch.Entry
	var expires *time.Time
	if !e.Doc.Expires.IsZero() {
		expires = &e.Doc.Expires
	}
	was, wasACL := 0, encodeACL(ch.Was.ACL)
	if ch.Was.Exists {
		was |= wasThere
	}
	if ch.Was.Deleted {
		was |= wasDeleted
	}
	if ch.Was.ACL != nil && e.Doc.ACL != nil && ch.Was.ACL.Equal(e.Doc.ACL) {
		was, wasACL = was|wasSameACL, nil
	}
	c.revision = append(c.revision, int64(commit.Revision))
	c.place = append(c.place, int32(place))
	c.key = append(c.key, encodeKey(e.Key))
	c.op = append(c.op, opNames[ch.Do])
	c.version = append(c.version, e.Version)
	c.rules = append(c.rules, int64(e.Rules))
	c.value = append(c.value, e.Doc.Value)
	c.acl = append(c.acl, encodeACL(e.Doc.ACL))
	c.ttl = append(c.ttl, int64(e.Doc.TTL))
	c.expires = append(c.expires, expires)
	c.attrs = append(c.attrs, encodeAttrs(e.Doc.Attrs))
	c.was = append(c.was, int32(was))
	c.wasACL = append(c.wasACL, wasACL)
	c.time = append(c.time, commit.Meta.Time)
	c.author = append(c.author, encodeText(commit.Meta.Author))
	c.note = append(c.note, encodeText(commit.Meta.Note))
	c.id = append(c.id, encodeText(commit.Meta.ID))
	c.meta = append(c.meta, meta)
	c.hidden = append(c.hidden, false)
	c.present = append(c.present, false)
}
