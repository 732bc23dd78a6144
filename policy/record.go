package policy

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// Journal is the file of records: lines of JSON whose first member "timestamp" is a time.
type Journal interface {
	// Append adds lines; it does not wait for the disk. Lose counts records for which there was no room.
	Append(lines ...[]byte)
	Lose(n uint64)
	// Flush writes what was appended. While that fails it waits in the Journal.
	Flush() error
	// Backward visits lines with a time in [since, until), newest first, until visit answers false or it has worked for long
	// enough, and returns where to go on: "" for nowhere. A line is visit's only until it returns.
	Backward(ctx context.Context, from string, since, until time.Time, visit func(line []byte) bool) (next string, err error)
	// Forward visits lines with a time in [since, until), oldest first.
	Forward(ctx context.Context, since, until time.Time, visit func(line []byte) error) error
}

// RecordOptions are a Records' optional parts; the zero value works.
type RecordOptions struct {
	Allows float64           // the share of allowed accesses that is recorded, beside every denied one: 0 to 1
	Most   int               // records that wait to be written, each KiB of claims counted as another; 0: 10,000. Further ones are lost, and counted
	Labels map[string]string // what every record carries
	Now    func() time.Time  // nil: time.Now
}

const (
	recordEvery  = time.Second // how long equal decisions become one record
	recordMost   = 10_000
	recordFlush  = 1 << 20 // bytes of lines between two writes
	recordIDs    = 32      // requests that one record names
	recordInputs = 32      // unlike inputs of hiding decisions that are told apart
)

// Records writes down what an Authorizer decides, equal decisions of about a second in one record with a count. Nothing is
// made of an access but what equals it is looked for, and pointers to its interned rules kept; Run writes the records.
//
// A decision that refuses a request, or grants it, is recorded by its key and request. Those that leave something out of a
// list or stream come by the thousand: one that the cache answers costs an addition, and the records count them without
// regard to keys.
type Records struct {
	journal Journal
	labels  map[string]string
	allows  float64
	share   uint64 // of 1<<64: allows
	most    int
	now     func() time.Time
	crowded chan struct{} // holds something when half of most is taken

	mu     sync.Mutex
	window window

	flushing sync.Mutex // held from taking a window to its being in the journal: records stay in order
}

// NewRecords returns Records into a journal.
func NewRecords(journal Journal, o RecordOptions) *Records {
	if o.Most <= 0 {
		o.Most = recordMost
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Records{
		journal: journal, labels: o.Labels, allows: o.Allows, most: o.Most, now: o.Now,
		crowded: make(chan struct{}, 1), window: newWindow(),
	}
	switch {
	case o.Allows >= 1:
		r.share = math.MaxUint64
	case o.Allows > 0:
		r.share = uint64(o.Allows * (1 << 64))
	}
	return r
}

// Run writes records until ctx ends, and those that are left then.
func (r *Records) Run(ctx context.Context) error {
	tick := time.NewTicker(recordEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-r.crowded:
		case <-ctx.Done():
		}
		_ = r.Flush() // the journal complains, and tries again
	}
	return nil
}

// Flush ends the present second and writes its records. Afterwards every decision that was taken before is found.
func (r *Records) Flush() error {
	r.flushing.Lock()
	defer r.flushing.Unlock()
	r.mu.Lock()
	w := r.window
	r.window = newWindow()
	r.mu.Unlock()
	size := 0
	for _, p := range w.order {
		p.count(r.now())
		line := asJSON(r.event(p))
		r.journal.Append(line)
		if size += len(line); size >= recordFlush { // what waits in the journal is bounded
			size = 0
			_ = r.journal.Flush()
		}
	}
	r.journal.Lose(w.lost)
	return r.journal.Flush()
}

// wants reports whether such decisions are recorded, at least some.
func (r *Records) wants(allow bool) bool { return r != nil && (!allow || r.share > 0) }

// note writes down a decision. kept says that the answer is in the cache, where the next equal access finds it; cached, that
// this one has found it there.
func (r *Records) note(p *policy, who *core.Subject, ask *core.Access, q *question, got *answer, kept, cached bool) {
	if ask.Supposed || got.Allow && r.share < math.MaxUint64 && rand.Uint64() >= r.share {
		return
	}
	var t *tally
	if ask.Hides && kept {
		if t = got.tallyOf(ask.Operation); t.n.Add(1) > 1 {
			return // it is in the present window already
		}
	}
	same := sameness{question: *q, rule: got.Rule, allow: got.Allow, hides: ask.Hides}
	if same.operation = ask.Operation; !ask.Hides {
		same.key, same.changes = ask.Key, ask.Changes
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	found := r.window.find(&same, ask.Request)
	if found == nil {
		if r.window.weight >= r.most {
			r.window.lose(t)
			return
		}
		found = newPending(p, who, ask, got, cached)
		if found.mixed = same.mixed; found.ask.Time.IsZero() {
			found.ask.Time = r.now()
		}
		r.window.add(same, found)
		if r.window.weight >= r.most/2 {
			select {
			case r.crowded <- struct{}{}:
			default:
			}
		}
	}
	found.join(ask, t)
}
