package policy

import (
	"context"
	"sync"
	"time"
)

// lapseSteps is in how many steps a time passes.
const lapseSteps = 5

// lapse is a time after which something is over. It passes in steps, each of which begins when the one before was seen to
// end: while the whole machine stands still, or lets nothing of this process run, one step passes at most. A mere deadline
// would call late whoever had no chance to be in time.
type lapse struct {
	step time.Duration
	over func() // called once, unless it is stopped before

	mu    sync.Mutex
	left  int         // steps
	timer *time.Timer // of the present step; nil: none is left, or it is stopped
}

// after begins a lapse. Whoever begins one stops it.
func after(whole time.Duration, over func()) *lapse {
	l := &lapse{step: whole / lapseSteps, over: over, left: lapseSteps}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = time.AfterFunc(l.step, l.pass)
	return l
}

// pass is the end of a step.
func (l *lapse) pass() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer == nil {
		return
	}
	if l.left--; l.left > 0 {
		l.timer.Reset(l.step)
		return
	}
	l.timer = nil
	l.over()
}

func (l *lapse) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
}

// within makes a context that ends with errLate after a lapse, or when it is done with.
func within(ctx context.Context, whole time.Duration) (limited context.Context, done func()) {
	limited, cancel := context.WithCancelCause(ctx)
	l := after(whole, func() { cancel(errLate) })
	return limited, func() {
		l.stop()
		cancel(nil)
	}
}
