package conformance

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// action is what a client did to one key.
type action struct {
	key  string
	do   string // get, put, delete
	cond string // "", "match" or "absent"
	on   int64  // with match: the version
	put  string // the value
}

// outcome is what it was told.
type outcome struct {
	kind    string // done, absent, refused, or unknown
	version int64
	value   string // of a get
	created bool   // of a put
}

// register is one key. The version outlives deletion.
type register struct {
	live    bool
	version int64
	value   string
}

func (r register) meets(a action) bool {
	switch a.cond {
	case "match":
		return r.live && r.version == a.on
	case "absent":
		return !r.live
	}
	return true
}

// after returns the register once the write a was done.
func (r register) after(a action) register {
	return register{live: a.do == "put", version: r.version + 1, value: a.put}
}

// step says whether a register can answer a with o, and what it is then.
func (r register) step(a action, o outcome) (bool, register) {
	possible := r.meets(a) && (a.do == "put" || r.live)
	switch {
	case o.kind == "unknown": // it may have happened at any time, or never, which is after everything
		if possible {
			return true, r.after(a)
		}
		return true, r
	case a.do == "get" && o.kind == "absent":
		return !r.live, r
	case a.do == "get":
		return r.live && r.version == o.version && r.value == o.value, r
	case o.kind == "absent":
		return a.do == "delete" && !r.live, r
	case o.kind == "refused":
		return !r.meets(a), r
	}
	told := o.version == r.version+1 || a.do == "delete" && o.version == 0 // HTTP does not tell the version of a delete
	return possible && told && (a.do == "delete" || o.created == !r.live), r.after(a)
}

// model is what porcupine compares a history with: each key on its own.
var model = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, op := range history {
			key := op.Input.(action).key
			byKey[key] = append(byKey[key], op)
		}
		var parts [][]porcupine.Operation
		for _, ops := range byKey {
			parts = append(parts, ops)
		}
		return parts
	},
	Init: func() any { return register{} },
	Step: func(state, input, output any) (bool, any) {
		return state.(register).step(input.(action), output.(outcome))
	},
}

// never is the end of an operation whose outcome nobody knows.
const never = math.MaxInt64

// judge fails unless a history is linearizable, and shows that of the first key for which it is not.
func judge(t testing.TB, history []porcupine.Operation) {
	t.Helper()
	for _, part := range model.Partition(history) {
		switch porcupine.CheckOperationsTimeout(model, part, patience) {
		case porcupine.Ok:
		case porcupine.Unknown:
			t.Errorf("it could not be decided within %v whether %d operations are linearizable", patience, len(part))
		case porcupine.Illegal:
			t.Errorf("this history of one key is not linearizable:\n%s", describe(part))
			return
		}
	}
}

func describe(ops []porcupine.Operation) string {
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var text strings.Builder
	for _, op := range ops {
		until := fmt.Sprint(time.Duration(op.Return))
		if op.Return == never {
			until = "?"
		}
		fmt.Fprintf(&text, "  %v – %s: %+v → %+v\n", time.Duration(op.Call), until, op.Input, op.Output)
	}
	return text.String()
}
