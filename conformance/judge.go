package conformance

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// Observation is one operation on a key as a client saw it from outside: what it asked, and what it was told. A test that
// talks to servers collects them and has them judged.
type Observation struct {
	Key, Do  string // get, put or delete
	IfMatch  int64  // of a write: the version it was conditional on; 0: none
	IfAbsent bool   // of a put
	Value    string // put, or got

	Told    string // done, absent, refused (412), or unknown: then Return does not count
	Version int64
	Created bool // of a put

	Call, Return time.Duration // by one clock of the test
}

// Judge fails unless a history is linearizable, and shows that of the first key for which it is not.
func Judge(t testing.TB, history []Observation) {
	t.Helper()
	ops := make([]porcupine.Operation, len(history))
	for i, seen := range history {
		a := action{key: seen.Key, do: seen.Do}
		switch {
		case seen.IfMatch > 0:
			a.cond, a.on = "match", seen.IfMatch
		case seen.IfAbsent:
			a.cond = "absent"
		}
		o := outcome{kind: seen.Told, version: seen.Version, created: seen.Created}
		if seen.Do == "get" {
			o.value = seen.Value
		} else {
			a.put = seen.Value
		}
		ops[i] = porcupine.Operation{ClientId: i, Input: a, Output: o, Call: int64(seen.Call), Return: int64(seen.Return)}
		if seen.Told == "unknown" {
			ops[i].Return = never
		}
	}
	judge(t, ops)
}
