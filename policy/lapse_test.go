package policy

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhatIsLimitedEndsWhenItsTimeIsOverAndNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limited, done := within(t.Context(), timeLimit)
		defer done()
		time.Sleep(timeLimit - time.Nanosecond)
		if synctest.Wait(); limited.Err() != nil {
			t.Error("it ended before")
		}
		time.Sleep(time.Nanosecond)
		if synctest.Wait(); limited.Err() == nil {
			t.Error("it goes on")
		}
	})
}

func TestAMachineThatStandsStillTakesOneStepOfATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var over atomic.Bool
		l := after(timeLimit, func() { over.Store(true) })
		l.pass() // what comes of a timer that was due long ago
		time.Sleep(timeLimit - timeLimit/lapseSteps - time.Nanosecond)
		if synctest.Wait(); over.Load() {
			t.Error("what stood still is late")
		}
		time.Sleep(time.Nanosecond)
		if synctest.Wait(); !over.Load() {
			t.Error("it goes on")
		}
	})
}

func TestATimeThatIsStoppedIsNeverOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := after(timeLimit, func() { t.Error("it is over") })
		time.Sleep(timeLimit - time.Nanosecond)
		l.stop()
		l.pass() // which was under way
		time.Sleep(2 * timeLimit)
		synctest.Wait()
	})
}
