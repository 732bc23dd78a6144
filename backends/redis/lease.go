package redis

import "time"

// lease is what this node holds of a principal's bucket. Its shard's lock guards it.
type lease struct {
	shard     *shard
	principal string
	key       string // of the bucket

	tokens int       // to spend on this node,
	until  time.Time // and from when they are void
	spent  int       // since Redis was last told
	lost   bool      // Redis may believe that more is leased than this node knows: an answer did not come, or this is new
	need   int       // of those who wait

	left       float64     // in the bucket,
	asked      time.Time   // and when that was; zero: never asked
	settlement *settlement // the next one, if it was asked for
}

// settlement is an exchange with Redis about one lease.
type settlement struct {
	done chan struct{}
	err  error // read after done
}

// report is a lease's part of a settlement.
type report struct {
	*lease
	spent, back, need, want int
}

// lapse makes tokens void whose time is over: Redis counts them as spent.
func (e *lease) lapse(now time.Time) {
	if e.tokens > 0 && !now.Before(e.until) {
		e.spent += e.tokens
		e.tokens = 0
	}
}

// everything is more than any node was ever leased.
const everything = 1 << 40

// report says what Redis is to be told, where a node holds block tokens at most. A lease that nothing was spent of since the
// last time is given back.
func (e *lease) report(now time.Time, block int) report {
	e.lapse(now)
	r := report{lease: e, spent: e.spent, need: max(0, e.need-e.tokens), want: max(0, block-e.tokens)}
	if block == 0 || e.spent == 0 && e.need == 0 {
		r.want, r.back, e.tokens = 0, e.tokens, 0
	}
	if e.lost {
		r.spent, r.back = everything, 0
	}
	e.spent, e.need = 0, 0
	return r
}

// granted takes in the answer to what was sent at a time.
func (e *lease) granted(tokens int, good bool, left float64, sent, now time.Time, life time.Duration) {
	e.lapse(now)
	if !good { // what was held, and what was spent of it meanwhile, is accounted for
		e.tokens, e.spent = 0, 0
	}
	e.tokens += tokens
	e.until = sent.Add(life)
	e.lost = false
	e.left, e.asked = left, now
}

// fail forgets a lease of which nobody knows what Redis believes.
func (e *lease) fail() {
	e.tokens, e.spent, e.lost = 0, 0, true
	e.asked = time.Time{}
}

// settled ends the settlement.
func (e *lease) settled(err error) {
	e.settlement.err = err
	close(e.settlement.done)
	e.settlement = nil
}
