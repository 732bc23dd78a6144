package policy

import (
	"strconv"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

// BenchmarkRecorded is what the records add to each way of deciding.
func BenchmarkRecorded(b *testing.B) {
	access, users := benchmarked()
	hidden := hiding(access)
	for _, way := range []struct {
		name   string
		who    string
		access core.Access
		fresh  bool // each of another request
		run    func(*testing.B, *Authorizer, *core.Subject, core.Access) error
	}{
		{"cached allow", users[0], access, false, authorized},
		{"cached denial that hides", "nobody", hidden, false, authorized},
		{"cached denial that refuses", "nobody", access, true, authorized},
		{"uncached allow", users[0], access, false, uncached},
		{"uncached denial that hides", "nobody", hidden, false, uncached},
		{"uncached denial that refuses", "nobody", access, true, uncached},
	} {
		for name, a := range map[string]*Authorizer{"without": open(b, Set{}), "with": record(b, Set{}, RecordOptions{}).Authorizer} {
			b.Run(way.name+"/"+name, func(b *testing.B) {
				who, ask, n := user(way.who), way.access, 0
				b.ReportAllocs()
				for b.Loop() {
					if n++; way.fresh {
						ask.Request = requests[n%len(requests)]
					}
					if err := way.run(b, a, who, ask); err != nil {
						b.Fatal(err)
					}
					if a.records != nil && n%100_000 == 0 { // what Run does meanwhile is part of the price
						_ = a.records.Flush()
					}
				}
			})
		}
	}
}

var requests = func() (all [4096]string) {
	for i := range all {
		all[i] = "4QZK6M2X7Y5VJ3N8-" + strconv.Itoa(i)
	}
	return all
}()

func authorized(b *testing.B, a *Authorizer, who *core.Subject, ask core.Access) error {
	_, err := a.Authorize(b.Context(), who, ask)
	return err
}

// uncached makes the answer one that was never given.
func uncached(b *testing.B, a *Authorizer, who *core.Subject, ask core.Access) error {
	a.answers.InvalidateAll()
	return authorized(b, a, who, ask)
}

func TestRecordsCostCachedAnswersNoAllocation(t *testing.T) {
	a := record(t, Set{}, RecordOptions{}).Authorizer
	access, users := benchmarked()
	for name, c := range map[string]struct {
		who    string
		access core.Access
	}{"allow": {users[0], access}, "denial that hides": {"nobody", hiding(access)}} {
		who := user(c.who)
		if n := testing.AllocsPerRun(1000, func() { _, _ = a.Authorize(t.Context(), who, c.access) }); n > 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

// BenchmarkRecordedInParallel is the addition that all cores make to one number.
func BenchmarkRecordedInParallel(b *testing.B) {
	access, _ := benchmarked()
	hidden := hiding(access)
	for name, a := range map[string]*Authorizer{"without": open(b, Set{}), "with": record(b, Set{}, RecordOptions{}).Authorizer} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				who := user("nobody")
				for pb.Next() {
					if err := authorized(b, a, who, hidden); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
