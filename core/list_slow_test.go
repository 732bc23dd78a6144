package core_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/core"
)

// slow is an Authorizer that takes a while for every answer about an item.
type slow struct {
	acl
	takes time.Duration
}

func (s *slow) Authorize(ctx context.Context, who *core.Subject, ask core.Access) (core.Decision, error) {
	if ask.Operation == "list" {
		time.Sleep(s.takes)
	}
	return s.acl.Authorize(ctx, who, ask)
}

// slowly runs a test of lists over n keys, of which "ann" may read every third and administer none, on a clock of its own.
func slowly(t *testing.T, takes time.Duration, n int, test func(w *world, readable []string)) {
	synctest.Test(t, func(t *testing.T) {
		backend := memory.Open(memory.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		rules := &slow{takes: takes}
		e, err := core.Open(ctx, backend, core.Options{Authorizer: rules})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { defer close(done); _ = e.Run(ctx) }()
		defer func() { cancel(); <-done; _ = backend.Close() }()
		w := &world{Engine: e, backend: backend, ctx: ctx}
		var readable []string
		for i := range n {
			p := put(fmt.Sprintf("app.k%04d", i), "1")
			p.ACL, p.SetACL = &core.ACL{Read: []string{"bob"}}, true
			if i%3 == 0 {
				p.ACL.Read = []string{"ann"}
				readable = append(readable, p.Name)
			}
			w.write(t, "root", p)
		}
		test(w, readable)
	})
}

func TestAListUnderASlowPolicyEndsItsPagesEarlyAndLeavesNothingOut(t *testing.T) {
	for _, f := range []core.Filter{{Limit: 10}, {Limit: 1000}, {Limit: 1000, Values: true}, {Limit: 1000, Namespace: "app"}} {
		f.Kind = core.KindKey
		slowly(t, 70*time.Millisecond, 200, func(w *world, readable []string) {
			var names, items []string
			for {
				began := time.Now()
				l, err := w.List(w.ctx, as("ann"), f)
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Fatalf("%+v: a page took %v of the policy's time", f, took)
				}
				if !l.LowerBound || l.Total < len(l.Names) || l.Total > len(readable) {
					t.Fatalf("%+v: got a total of %d (at least: %v) of %d, of which not all can be counted", f, l.Total, l.LowerBound, len(readable))
				}
				names = append(names, l.Names...)
				for _, it := range l.Items {
					items = append(items, it.Name)
				}
				if f.After = l.Next; f.After == "" {
					break
				}
			}
			if !slices.Equal(names, readable) || f.Values && !slices.Equal(items, readable) {
				t.Errorf("%+v: got %d names and %d values, want %d", f, len(names), len(items), len(readable))
			}
		})
	}
}

func TestAPageDecidesAtLeastOneKeyHoweverSlowThePolicyIs(t *testing.T) {
	slowly(t, 30*time.Second, 4, func(w *world, readable []string) {
		var names []string
		f, pages := core.Filter{Kind: core.KindKey, Values: true}, 0
		for ; pages == 0 || f.After != ""; pages++ {
			l, err := w.List(w.ctx, as("ann"), f)
			if err != nil || len(l.Items) != len(l.Names) || pages > 4 {
				t.Fatalf("page %d: %d names, %d values, %v", pages, len(l.Names), len(l.Items), err)
			}
			names, f.After = append(names, l.Names...), l.Next
		}
		if !slices.Equal(names, readable) {
			t.Errorf("got %q, want %q", names, readable)
		}
	})
}

func TestThatNoKeyIsAdministeredIsNotSaidBeforeAllAreDecided(t *testing.T) {
	slowly(t, 70*time.Millisecond, 200, func(w *world, _ []string) {
		l, err := w.List(w.ctx, as("ann"), core.Filter{Kind: core.KindKey, Principal: "bob"})
		if err != nil || len(l.Names) != 0 || l.Total != 0 || l.Next == "" || !l.LowerBound {
			t.Errorf("got %+v, %v, want an empty page and the place where it goes on", l, err)
		}
	})
	slowly(t, 0, 20, func(w *world, _ []string) {
		_, err := w.List(w.ctx, as("ann"), core.Filter{Kind: core.KindKey, Principal: "bob"})
		want(t, err, core.ErrForbidden)
	})
}
