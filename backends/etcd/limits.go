package etcd

import (
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dynconfig/dynconfig/core"
)

// Request is what a server takes in one request.
type Request struct {
	Ops   int // its --max-txn-ops; 0: 128
	Bytes int // its --max-request-bytes; 0: 1.5 MiB
}

// etcd's own defaults.
const (
	defaultOps   = 128
	defaultBytes = 1536 << 10
)

func (r Request) withDefaults() Request {
	if r.Ops == 0 {
		r.Ops = defaultOps
	}
	if r.Bytes == 0 {
		r.Bytes = defaultBytes
	}
	return r
}

// What a transaction takes of a request.
const (
	opOps      = 2       // of etcd's operations, for each of ours: the entry and its history
	batchOps   = 3       // for all: head, log and IDs
	opBytes    = 8 << 10 // for each operation beside its value: what sealing adds, the key three times, the author
	spareBytes = 16 << 10
)

// limits returns the largest transaction that surely fits a request, but for ACLs and notes of many kilobytes.
func (r Request) limits() (core.Limits, error) {
	spare := r.Bytes - spareBytes
	n := min((r.Ops-batchOps)/opOps, (spare-core.MinBytes)/opBytes)
	if n < core.MinOps {
		return core.Limits{}, core.Errorf(core.ErrInvalid, "etcd has to take %d operations and %d bytes in one request at least",
			core.MinOps*opOps+batchOps, core.MinBytes+core.MinOps*opBytes+spareBytes)
	}
	return core.Limits{MaxOps: n, MaxBytes: (spare - n*opBytes) &^ (64<<10 - 1), Shared: true, Durable: true}, nil
}

// sizeOf is about how many bytes operations take in a request, rather more.
func sizeOf(ops []clientv3.Op) int {
	n := 0
	for i := range ops {
		n += 32 + len(ops[i].KeyBytes()) + len(ops[i].ValueBytes()) + len(ops[i].RangeBytes())
	}
	return n
}
