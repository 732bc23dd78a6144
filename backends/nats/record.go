package nats

import (
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/dynconfig/dynconfig/core"
)

// What lies in the stream is CBOR without names of members. Every message begins with a byte that is its format.
const format = 1

// message is what a message of the log holds. Prev and PrevSeq are the Self and the sequence of the record that its writer
// evaluated over: every node applies a record only behind that one, so that the order of commits does not hang on the
// server's own comparison.
type message struct {
	_       struct{} `cbor:",toarray"`
	Self    uint64
	Prev    uint64
	PrevSeq uint64
	Body    []byte // a record; nil where it is in parts
	Blob    string
	Parts   []uint64 // the sequences of the parts, in order
}

// record is one step of the log: a batch of commits, or what keeps the stream tidy.
type record struct {
	_       struct{} `cbor:",toarray"`
	First   core.Revision
	Commits []commit
	Moved   []moved
	Clean   *clean
}

// moved is a change that is needed longer than the message in which it was: History or an entry's value now refer here.
type moved struct {
	_        struct{} `cbor:",toarray"`
	Revision core.Revision
	Meta     meta
	Change   change
}

// clean raises the floor, shortens histories and gives up what is below a sequence of the stream.
type clean struct {
	_     struct{} `cbor:",toarray"`
	UpTo  core.Revision
	Keep  int      // of each history; below 0: histories stay
	From  uint64   // nothing below this sequence is needed
	Swept []string // blobs that nothing will refer to
}

type commit struct {
	_       struct{} `cbor:",toarray"`
	Meta    meta
	Changes []change
}

type meta struct {
	_      struct{} `cbor:",toarray"`
	ID     string
	Time   int64 // microseconds
	Author string
	Note   string
	Attrs  map[string]string
}

// change is a core.Change without what its commit says.
type change struct {
	_                   struct{} `cbor:",toarray"`
	Do                  core.OpKind
	Key                 core.Key
	Deleted             bool
	Version             int64
	Rules               core.Revision
	ACL                 *acl
	TTL                 time.Duration
	Expires             int64
	Attrs               map[string]string
	Value               []byte
	Existed, WasDeleted bool
	SameACL             bool // as the entry's
	WasACL              *acl
}

type acl struct {
	_                  struct{} `cbor:",toarray"`
	Read, Write, Admin []string
}

// codec reads strings as they are: keys are bytes.
type codec struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

func newCodec() codec {
	enc, err := cbor.EncOptions{}.EncMode()
	if err != nil {
		panic(err) // constant options
	}
	dec, err := cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid, MaxArrayElements: 1 << 30, MaxMapPairs: 1 << 30}.DecMode()
	if err != nil {
		panic(err) // constant options
	}
	return codec{enc, dec}
}

// put encodes a message of ours.
func (c codec) put(v any) ([]byte, error) {
	b, err := c.enc.Marshal(v)
	if err != nil {
		return nil, core.Errorf(core.ErrInternal, "Record cannot be written").Because(err)
	}
	return append([]byte{format}, b...), nil
}

// get decodes a message of ours.
func (c codec) get(b []byte, v any) error {
	if len(b) == 0 || b[0] != format {
		return core.Errorf(core.ErrInternal, "Stored data is of a format that this version does not know")
	}
	if err := c.dec.Unmarshal(b[1:], v); err != nil {
		return unreadable(err)
	}
	return nil
}

func unreadable(err error) error {
	return core.Errorf(core.ErrInternal, "Stored data cannot be read").Because(err)
}

func packACL(a *core.ACL) *acl {
	if a == nil {
		return nil
	}
	return &acl{Read: a.Read, Write: a.Write, Admin: a.Admin}
}

func (a *acl) unpack() *core.ACL {
	if a == nil {
		return nil
	}
	return &core.ACL{Read: a.Read, Write: a.Write, Admin: a.Admin}
}

func packMeta(m core.Meta) meta {
	return meta{ID: m.ID, Time: m.Time.UnixMicro(), Author: m.Author, Note: m.Note, Attrs: m.Attrs}
}

func (m meta) unpack() core.Meta {
	return core.Meta{ID: m.ID, Time: micro(m.Time), Author: m.Author, Note: m.Note, Attrs: m.Attrs}
}

func micro(v int64) time.Time { return time.UnixMicro(v).UTC() }

func packChange(c core.Change) change {
	e := c.Entry
	p := change{
		Do: c.Do, Key: e.Key, Deleted: e.Deleted, Version: e.Version, Rules: e.Rules,
		ACL: packACL(e.Doc.ACL), TTL: e.Doc.TTL, Expires: e.Doc.Expires.UnixMicro(), Attrs: e.Doc.Attrs, Value: e.Doc.Value,
		Existed: c.Was.Exists, WasDeleted: c.Was.Deleted,
	}
	if p.SameACL = c.Was.ACL != nil && e.Doc.ACL != nil && c.Was.ACL.Equal(e.Doc.ACL); !p.SameACL {
		p.WasACL = packACL(c.Was.ACL)
	}
	return p
}

func (p change) unpack(r core.Revision, m core.Meta) core.Change {
	c := core.Change{
		Do: p.Do,
		Entry: core.Entry{
			Key: p.Key, Deleted: p.Deleted, Version: p.Version, Revision: r, Rules: p.Rules, Modified: m.Time, Author: m.Author,
			Doc: core.Doc{Value: p.Value, ACL: p.ACL.unpack(), TTL: p.TTL, Expires: micro(p.Expires), Attrs: p.Attrs},
		},
		Was: core.Was{Exists: p.Existed, Deleted: p.WasDeleted, ACL: p.WasACL.unpack()},
	}
	if p.SameACL {
		c.Was.ACL = c.Entry.Doc.ACL
	}
	return c
}

// packBatch makes a record of commits with neighbouring revisions.
func packBatch(commits []core.Commit) record {
	r := record{First: commits[0].Revision, Commits: make([]commit, len(commits))}
	for i, c := range commits {
		r.Commits[i] = commit{Meta: packMeta(c.Meta), Changes: make([]change, len(c.Changes))}
		for j, ch := range c.Changes {
			r.Commits[i].Changes[j] = packChange(ch)
		}
	}
	return r
}

// commit returns the i-th commit of a batch.
func (r *record) commit(i int) core.Commit {
	p := r.Commits[i]
	c := core.Commit{Revision: r.First + core.Revision(i), Meta: p.Meta.unpack()}
	if len(p.Changes) > 0 {
		c.Changes = make([]core.Change, len(p.Changes))
	}
	for j, ch := range p.Changes {
		c.Changes[j] = ch.unpack(c.Revision, c.Meta)
	}
	return c
}

// find returns a key's change at a revision, from a batch or from what was moved.
func (r *record) find(key core.Key, at core.Revision) (core.Record, bool) {
	if i := int(at - r.First); i >= 0 && i < len(r.Commits) {
		m := r.Commits[i].Meta.unpack()
		for _, ch := range r.Commits[i].Changes {
			if ch.Key == key {
				return core.Record{Revision: at, Meta: m, Change: ch.unpack(at, m)}, true
			}
		}
	}
	for _, mv := range r.Moved {
		if mv.Revision == at && mv.Change.Key == key {
			m := mv.Meta.unpack()
			return core.Record{Revision: at, Meta: m, Change: mv.Change.unpack(at, m)}, true
		}
	}
	return core.Record{}, false
}
