package etcd

import (
	"encoding/binary"
	"math"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dynconfig/dynconfig/core"
)

// layout names the keys in etcd, all below one prefix:
//
//	epoch                       random, written once
//	head                        the newest revision and its time; every commit compares and writes it
//	floor                       the revision up to which the log is compacted
//	e/<key>                     the present entry
//	h/<len><key><^revision>     a key's history, newest first
//	l/<last revision>           the log: one record for a batch of commits
//	i/<last revision>           the IDs of that batch, kept for core.KeepIDs
//
// Lengths and revisions are big-endian, so that etcd's order is theirs.
type layout struct{ prefix string }

func (l layout) epoch() string                 { return l.prefix + "epoch" }
func (l layout) head() string                  { return l.prefix + "head" }
func (l layout) floor() string                 { return l.prefix + "floor" }
func (l layout) entry(k core.Key) string       { return l.prefix + "e/" + string(k) }
func (l layout) log(last core.Revision) string { return l.prefix + "l/" + revisionBytes(last) }
func (l layout) ids(last core.Revision) string { return l.prefix + "i/" + revisionBytes(last) }
func (l layout) history(k core.Key, r core.Revision) string {
	return l.prefix + "h/" + string(binary.BigEndian.AppendUint16(nil, uint16(len(k)))) + string(k) + revisionBytes(^r)
}

// The ends of the ranges of entries, log and IDs: what follows the slash in the order of bytes.
func (l layout) entriesEnd() string { return l.prefix + "e0" }
func (l layout) logEnd() string     { return l.prefix + "l0" }
func (l layout) idsEnd() string     { return l.prefix + "i0" }

func revisionBytes(r core.Revision) string {
	return string(binary.BigEndian.AppendUint64(nil, uint64(r)))
}

// historyRange reads a key's history from a revision on downwards; 0 is from the newest.
func (l layout) historyRange(k core.Key, from core.Revision, opts ...clientv3.OpOption) clientv3.Op {
	if from == 0 {
		from = math.MaxInt64
	}
	return clientv3.OpGet(l.history(k, from), append(opts, clientv3.WithRange(l.history(k, 0)))...)
}

// recordRevision reads the revision at the end of a history record's key.
func recordRevision(key []byte) core.Revision { return ^revisionOf(key) }

// revisionOf reads the revision at the end of a key.
func revisionOf(key []byte) core.Revision {
	if len(key) < 8 {
		return 0
	}
	return core.Revision(binary.BigEndian.Uint64(key[len(key)-8:]))
}

// entryRange reads entries from a key up to another; an empty to is the end.
func (l layout) entryRange(from, to core.Key, opts ...clientv3.OpOption) clientv3.Op {
	end := l.entriesEnd()
	if to != "" {
		end = l.entry(to)
	}
	return clientv3.OpGet(l.entry(from), append(opts, clientv3.WithRange(end))...)
}

// keyOf is the key of an entry's record.
func (l layout) keyOf(raw []byte) core.Key { return core.Key(raw[len(l.prefix)+len("e/"):]) }
