package nats

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/btree"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/dynconfig/dynconfig/core"
)

// snapshot says where a view is written down. What the view has of values and of history are places in the stream, so a
// snapshot is small, and a start reads it and the records after Self.
type snapshot struct {
	_       struct{} `cbor:",toarray"`
	Blob    string
	Parts   []uint64
	Bytes   int
	Self    uint64 // the last record in it
	SelfSeq uint64
	seq     uint64 // of the message that says so
}

func (p *snapshot) first() uint64 {
	if len(p.Parts) == 0 {
		return p.seq
	}
	return slices.Min(p.Parts)
}

// frozen is what a snapshot begins with: a view without its items.
type frozen struct {
	_       struct{} `cbor:",toarray"`
	Epoch   string
	Seq     uint64
	LastLog uint64
	Self    uint64
	SelfSeq uint64
	Head    core.Revision
	Floor   core.Revision
	Clock   int64
	From    uint64
	Batches []int64 // count, size and distance in the stream of each, after the first revision
	Recent  [][]uint64
	Low     map[uint64]uint64
	Loose   map[string]uint64
	Items   int
}

// frozenItem is an item of a snapshot.
type frozenItem struct {
	_        struct{} `cbor:",toarray"`
	Key      core.Key
	Deleted  bool
	Version  int64
	Revision core.Revision
	Rules    core.Revision
	Modified int64
	Author   string
	ACL      *acl
	TTL      time.Duration
	Expires  int64
	Attrs    map[string]string
	Size     int
	Seq      uint64
	Past     []int64 // revision and message of each, as distances
}

// freeze returns a view's content as it is now; s.mu is held. Both go on to share what does not change.
func (v *view) freeze() (frozen, *btree.BTreeG[*item], []batch) {
	f := frozen{
		Epoch: v.keys.epoch, Seq: v.seq, LastLog: v.lastLog, Self: v.self, SelfSeq: v.selfSeq,
		Head: v.head, Floor: v.floor, Clock: v.clock.UnixMicro(), From: v.from,
		Low: maps.Clone(v.low), Loose: make(map[string]uint64, len(v.loose)), Items: v.items.Len(),
	}
	for blob, l := range v.loose {
		f.Loose[blob] = l.first
	}
	for _, n := range v.recent {
		f.Recent = append(f.Recent, n.ids)
	}
	return f, v.items.Clone(), v.batches
}

func (f *frozen) packBatches(batches []batch) {
	var seq uint64
	for i, b := range batches {
		if i == 0 {
			f.Batches = append(f.Batches, int64(b.first))
		}
		f.Batches = append(f.Batches, int64(b.count), int64(b.size), int64(b.seq-seq))
		seq = b.seq
	}
}

func (f *frozen) batches() (out []batch) {
	if len(f.Batches) == 0 {
		return nil
	}
	b := batch{first: core.Revision(f.Batches[0])}
	for part := range slices.Chunk(f.Batches[1:], 3) {
		b.first += core.Revision(b.count)
		b.count, b.size, b.seq = int32(part[0]), int32(part[1]), b.seq+uint64(part[2])
		out = append(out, b)
	}
	return out
}

func packItem(it *item) frozenItem {
	e := it.entry
	f := frozenItem{
		Key: e.Key, Deleted: e.Deleted, Version: e.Version, Revision: e.Revision, Rules: e.Rules, Modified: e.Modified.UnixMicro(),
		Author: e.Author, ACL: packACL(e.Doc.ACL), TTL: e.Doc.TTL, Expires: e.Doc.Expires.UnixMicro(), Attrs: e.Doc.Attrs,
		Size: it.size, Seq: it.seq, Past: make([]int64, 0, 2*len(it.past)),
	}
	var last ref
	for _, r := range it.past {
		f.Past = append(f.Past, int64(r.revision-last.revision), int64(r.seq)-int64(last.seq))
		last = r
	}
	return f
}

func (f *frozenItem) item() *item {
	it := &item{size: f.Size, seq: f.Seq, past: make([]ref, 0, len(f.Past)/2), entry: core.Entry{
		Key: f.Key, Deleted: f.Deleted, Version: f.Version, Revision: f.Revision, Rules: f.Rules, Modified: micro(f.Modified), Author: f.Author,
		Doc: core.Doc{ACL: f.ACL.unpack(), TTL: f.TTL, Expires: micro(f.Expires), Attrs: f.Attrs},
	}}
	var last ref
	for part := range slices.Chunk(f.Past, 2) {
		last = ref{revision: last.revision + core.Revision(part[0]), seq: uint64(int64(last.seq) + part[1])}
		it.past = append(it.past, last)
	}
	return it
}

// save writes a snapshot of the view. Of several nodes that do so at once, the first to end has it. It gives up long before
// its parts would be swept.
func (s *Store) save(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, looseFor/2)
	defer cancel()
	s.mu.Lock()
	v := s.view
	if v == nil || s.doubt || v.self == 0 {
		s.mu.Unlock()
		return nil
	}
	keys, last := v.keys, v.lastSnap
	f, items, batches := v.freeze()
	s.mu.Unlock()
	f.packBatches(batches)
	b := s.newBlob(ctx, keys, blobSnapshot)
	enc := s.codec.enc.NewEncoder(b)
	if _, err := b.Write([]byte{format}); err != nil {
		return fault(err)
	}
	err := enc.Encode(f)
	items.Ascend(func(it *item) bool {
		if err == nil {
			err = enc.Encode(packItem(it))
		}
		return err == nil
	})
	if err == nil {
		err = b.flush()
	}
	if err != nil {
		return fault(err)
	}
	data, err := s.codec.put(snapshot{Blob: b.name, Parts: b.parts, Bytes: b.size, Self: f.Self, SelfSeq: f.SelfSeq})
	if err != nil {
		return err
	}
	_, err = s.publish(ctx, keys.of(kindSnapshot), data, jetstream.WithExpectLastSequencePerSubject(last))
	if isWrongLast(err) {
		b.drop()
		return nil
	}
	if err != nil {
		return fault(err)
	}
	s.options.Logger.Debug("wrote a snapshot", "revision", int64(f.Head), "keys", f.Items, "bytes", b.size)
	return nil
}

// load makes a view from the newest snapshot of the stream that belongs to its log, or one that begins at the beginning.
func (s *Store) load(ctx context.Context, stream jetstream.Stream, keys layout) (*view, error) {
	s.mu.Lock()
	s.read = 0
	s.mu.Unlock()
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(keys.prefix+".*."+kindSnapshot))
	if err != nil {
		return nil, fault(err)
	}
	var newest *jetstream.RawStreamMsg
	for subject := range info.State.Subjects {
		m, err := stream.GetLastMsgForSubject(ctx, subject)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
		case err != nil:
			return nil, fault(err)
		case newest == nil || m.Sequence > newest.Sequence:
			newest = m
		}
	}
	if newest == nil {
		return newView(keys), nil
	}
	p := snapshot{seq: newest.Sequence}
	if err := s.codec.get(newest.Data, &p); err != nil {
		return nil, err
	}
	m, err := s.message(ctx, stream, p.SelfSeq)
	if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && m.Self != p.Self {
		return newView(keys), nil // of a history that was lost: the log tells whether it is whole
	}
	if err != nil {
		return nil, err
	}
	v, err := s.thaw(ctx, stream, keys, p)
	if err == nil {
		_, _, own := keys.kindOf(newest.Subject)
		v.takeSnapshot(p, own, s.options.Now())
	}
	return v, err
}

// thaw reads a snapshot.
func (s *Store) thaw(ctx context.Context, stream jetstream.Stream, keys layout, p snapshot) (*view, error) {
	r := s.reader(ctx, stream, p.Parts)
	one := make([]byte, 1)
	if _, err := r.Read(one); err != nil || one[0] != format {
		return nil, unreadable(err)
	}
	dec := s.codec.dec.NewDecoder(r)
	var f frozen
	if err := dec.Decode(&f); err != nil {
		return nil, fault(err)
	}
	now := s.options.Now()
	v := newView(keys)
	v.seq, v.self, v.selfSeq, v.head, v.floor, v.clock, v.from = f.Seq, f.Self, f.SelfSeq, f.Head, f.Floor, micro(f.Clock), f.From
	if f.Epoch == keys.epoch {
		v.lastLog = f.LastLog
	}
	v.batches = f.batches()
	maps.Copy(v.low, f.Low)
	for blob, first := range f.Loose {
		v.loose[blob] = loose{first: first, at: now}
	}
	if n := len(f.Recent); n <= len(v.batches) {
		for i, b := range v.batches[len(v.batches)-n:] {
			v.remember(named{first: b.first, ids: f.Recent[i], at: now})
		}
	}
	for range f.Items {
		var it frozenItem
		if err := dec.Decode(&it); err != nil {
			return nil, fault(err)
		}
		v.items.ReplaceOrInsert(it.item())
	}
	return v, nil
}
