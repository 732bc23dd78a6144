package policy

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync/atomic"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// answer is a decision that is kept, with what its records need.
type answer struct {
	core.Decision
	took    time.Duration // the run it came of
	failure error         // why there is no other
	tallies atomic.Pointer[tally]
}

// tally counts the accesses of one operation that an answer decided without refusing a request, since they were last
// recorded. Who makes it one puts it into the window.
type tally struct {
	operation string
	n         atomic.Int64
	next      *tally
}

func (a *answer) tallyOf(operation string) *tally {
	first := a.tallies.Load()
	for t := first; t != nil; t = t.next {
		if t.operation == operation {
			return t
		}
	}
	if made := (&tally{operation: operation, next: first}); a.tallies.CompareAndSwap(first, made) {
		return made
	}
	return a.tallyOf(operation)
}

// sameness is what decisions of one record have in common: all that the answer may depend on, the answer, the operation, and
// unless they only hide something the key and what is changed.
type sameness struct {
	question
	rule         string
	allow, hides bool
	mixed        bool // but for what they were asked of: there are too many unlike ones
}

// window is the decisions of about a second.
type window struct {
	pending map[sameness]*pending
	inputs  map[sameness]int // how many unlike inputs there are of one mixed sameness
	order   []*pending
	weight  int // about how much memory they take
	lost    uint64
}

func newWindow() window {
	return window{pending: map[sameness]*pending{}, inputs: map[sameness]int{}}
}

// find returns the record that a decision belongs to, or nil if that is to be made. Too many unlike ones are made the same.
func (w *window) find(same *sameness, request string) *pending {
	found := w.pending[*same]
	if found == nil && same.hides && w.inputs[same.mix()] >= recordInputs {
		*same = same.mix()
		found = w.pending[*same]
	}
	if found == nil || !found.room(request) {
		return nil
	}
	return found
}

func (w *window) add(same sameness, p *pending) {
	w.pending[same] = p
	w.order = append(w.order, p)
	w.weight += 1 + len(p.claims)>>10
	if same.hides && !same.mixed {
		w.inputs[same.mix()]++
	}
}

// lose counts a decision that there is no record for, or all that a tally has counted.
func (w *window) lose(t *tally) {
	if t != nil {
		w.lost += uint64(t.n.Swap(0))
		return
	}
	w.lost++
}

func (s sameness) mix() sameness {
	s.acl, s.chain, s.exists, s.changes, s.key, s.address, s.claims, s.mixed = 0, 0, false, 0, "", "", "", true
	return s
}

// pending is a record that is not yet written: the first of some equal decisions, and how many there are.
type pending struct {
	ask      core.Access
	username string
	claims   json.RawMessage // that the policy reads
	revision string
	decision core.Decision
	took     time.Duration
	cached   bool
	mixed    bool

	n        int64
	last     time.Time
	requests []string
	tallies  []*tally
}

func newPending(p *policy, who *core.Subject, ask *core.Access, got *answer, cached bool) *pending {
	n := &pending{ask: *ask, username: who.Username, claims: p.readClaims(who), revision: p.revision(), decision: got.Decision, cached: cached}
	if !cached {
		n.took = got.took
	}
	if got.failure != nil { // for those who may read records; it holds no claims
		n.decision.Reason += ": " + got.failure.Error()
	}
	return n
}

// readClaims writes the claims that the policy reads: they are not ours to keep otherwise. It is nil for what is no JSON.
func (p *policy) readClaims(who *core.Subject) json.RawMessage {
	claims := map[string]any{}
	if p.reads.allClaims && who.Claims != nil {
		claims = who.Claims
	}
	for _, name := range p.reads.claims {
		if v, ok := who.Claims[name]; ok {
			claims[name] = v
		}
	}
	return asJSON(claims)
}

// asJSON writes v as lines have it.
func asJSON(v any) json.RawMessage {
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	if out.Encode(v) != nil {
		return nil
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// revision names the policy: as its set does, else by what is in it.
func (p *policy) revision() string {
	set := p.set.Load()
	switch {
	case set.Revision != "":
		return set.Revision
	case len(set.Modules) == 0 && len(set.Data) == 0:
		return "shipped"
	}
	return p.digest[:16]
}

// room reports whether the record can name a request. Every denied request is named by a record; of allowed ones it names
// the first.
func (p *pending) room(request string) bool {
	return p.decision.Allow || p.ask.Hides || len(p.requests) < recordIDs || slices.Contains(p.requests, request)
}

// join adds a decision: one, or those that a tally counts.
func (p *pending) join(ask *core.Access, t *tally) {
	if t != nil {
		p.tallies = append(p.tallies, t)
	} else {
		p.n++
		p.last = ask.Time
	}
	if request := ask.Request; request != "" && len(p.requests) < recordIDs && !slices.Contains(p.requests, request) {
		p.requests = append(p.requests, request)
	}
}

// count ends the record. The last of those that tallies counted was somewhere before now.
func (p *pending) count(now time.Time) {
	for _, t := range p.tallies {
		p.n += t.n.Swap(0)
		p.last = now
	}
	p.tallies = nil
}
