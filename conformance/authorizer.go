package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dynconfig/dynconfig/core"
)

// Policy is an Authorizer under test with the means to change its mind.
type Policy struct {
	core.Authorizer
	// Load puts a policy in the place of the present one: one that allows everything, or one that allows nothing.
	Load func(ctx context.Context, allow bool) error
}

// decide asks until there is an answer in time: on a busy machine a decision may come too late, which says nothing.
func (p Policy) decide(ctx context.Context, who *core.Subject, ask core.Access) (d core.Decision, err error) {
	for range 20 {
		if d, err = p.Authorize(ctx, who, ask); err != nil || !d.Late {
			break
		}
	}
	return d, err
}

// authorizerPromise is one test of an Authorizer; open makes one with its first policy, in which a key's own list of
// readers counts.
type authorizerPromise struct {
	name string
	test func(t testing.TB, open func(t testing.TB) Policy)
}

var authorizerPromises = []authorizerPromise{
	{"zero denies", zeroDenies},
	{"a thousand asks are answered alike in every order", asksAlike},
	{"an error comes with a denial", errorDenies},
	{"a reload is atomic", reloadIsAtomic},
	{"a reload governs from its return on", reloadGoverns},
}

// RunAuthorizer holds an Authorizer to its promises, each on one of its own.
func RunAuthorizer(t *testing.T, open func(t testing.TB) Policy) {
	for _, p := range authorizerPromises {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.test(t, open)
		})
	}
}

func zeroDenies(t testing.TB, open func(t testing.TB) Policy) {
	p := open(t)
	if (core.Decision{}).Allow {
		t.Fatalf("the zero Decision allows")
	}
	named := &core.Subject{Username: "ann"}
	whole := core.Access{Action: core.ActionRead, Kind: core.KindKey, Environment: "default", Key: "k", Exists: true, ACL: core.Intern(&core.ACL{Read: []string{"*"}})}
	without := func(change func(a *core.Access)) core.Access {
		a := whole
		change(&a)
		return a
	}
	for _, c := range []struct {
		what string
		who  *core.Subject
		ask  core.Access
	}{
		{"nothing at all", &core.Subject{}, core.Access{}},
		{"nothing", named, core.Access{}},
		{"no name", &core.Subject{}, whole},
		{"no action", named, without(func(a *core.Access) { a.Action = "" })},
		{"an unknown action", named, without(func(a *core.Access) { a.Action = "own" })},
		{"no kind", named, without(func(a *core.Access) { a.Kind = "" })},
		{"an unknown kind", named, without(func(a *core.Access) { a.Kind = "thing" })},
		{"no rules", named, without(func(a *core.Access) { a.ACL = nil })},
	} {
		if d, err := p.Authorize(t.Context(), c.who, c.ask); d.Allow || d.Grant != nil {
			t.Errorf("an access with %s is answered %+v, %v", c.what, d, err)
		}
	}
	if d, err := p.decide(t.Context(), named, whole); err != nil || !d.Allow {
		t.Errorf("an access with everything is answered %+v, %v: the denials above say nothing", d, err)
	}
}

type question struct {
	who core.Subject
	ask core.Access
}

// questions makes n asks of all kinds.
func questions(n int) []question {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	names := func() []string {
		switch r.IntN(4) {
		case 0:
			return nil
		case 1:
			return []string{}
		}
		return []string{pick("ann", "bob", "svc:*", "*"), pick("eve", "svc:pay", "a*")}
	}
	acl := func() *core.ACL { return &core.ACL{Read: names(), Write: names(), Admin: names()} }
	link := func(ns string) core.Link { // in a chain are only those that say something
		a := acl()
		a.Admin = append(a.Admin, "eve")
		return core.Link{Namespace: ns, Rules: core.Intern(a)}
	}
	var out []question
	for range n {
		q := question{who: core.Subject{Username: pick("ann", "bob", "svc:pay", "eve"), Claims: map[string]any{"team": pick("x", "y")}}}
		q.ask = core.Access{
			Action: core.Action(pick("read", "list", "watch", "create", "write", "delete", "admin")), Kind: core.KindKey,
			Environment: pick("default", "stage"), Key: fmt.Sprintf("app.ui.k%d", r.IntN(50)), Exists: r.IntN(2) == 0,
			Operation: pick("get", "put", "watch"), Changes: core.Changes(r.IntN(16)), Address: "192.0.2.7", Time: time.Unix(1e9, 0).UTC(),
		}
		if r.IntN(2) == 0 {
			q.ask.ACL = core.Intern(acl())
		}
		if r.IntN(2) == 0 {
			q.ask.Chain = core.InternChain([]core.Link{link("*"), link("app")})
		}
		out = append(out, q)
	}
	return out
}

// asksAlike asks one Authorizer in turn, one from the last question to the first, and another at once and in other orders. An
// answer that was kept for the wrong question shows by its order.
func asksAlike(t testing.TB, open func(t testing.TB) Policy) {
	asked, pristine := questions(1000), questions(1000)
	answers := make([]core.Decision, len(asked))
	allowed := 0
	p := open(t)
	for i := range asked {
		d, err := p.decide(t.Context(), &asked[i].who, asked[i].ask)
		if err != nil {
			t.Fatalf("%+v: %v", asked[i].ask, err)
		}
		if answers[i] = d; d.Allow {
			allowed++
		}
	}
	if allowed == 0 || allowed == len(asked) {
		t.Errorf("of %d asks of all kinds %d were allowed", len(asked), allowed)
	}
	again := func(order []int) error {
		for _, i := range order {
			d, err := p.decide(t.Context(), &asked[i].who, asked[i].ask)
			if err != nil {
				return err
			}
			if !cmp.Equal(d, answers[i]) {
				return fmt.Errorf("%+v was answered %+v and is answered %+v", asked[i].ask, answers[i], d)
			}
		}
		return nil
	}
	backwards := make([]int, len(asked))
	for i := range backwards {
		backwards[i] = len(asked) - 1 - i
	}
	p = open(t)
	if err := again(backwards); err != nil {
		t.Fatal(err)
	}
	p = open(t)
	together(t, 4, func(i int) error { return again(rand.New(rand.NewPCG(3, uint64(i))).Perm(len(asked))) })
	for i := range asked {
		if !cmp.Equal(asked[i].who, pristine[i].who) || asked[i].ask != pristine[i].ask {
			t.Fatalf("ask %d was changed by asking: %+v", i, asked[i])
		}
	}
}

func errorDenies(t testing.TB, open func(t testing.TB) Policy) {
	p := open(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, q := range questions(100) {
		if d, err := p.Authorize(ended, &q.who, q.ask); err != nil && (d.Allow || d.Grant != nil) {
			t.Errorf("with the error %v comes the decision %+v", err, d)
		}
	}
}

// reloadIsAtomic asks while policies change. An answer between two equal generations is of that generation's policy.
func reloadIsAtomic(t testing.TB, open func(t testing.TB) Policy) {
	p := open(t)
	const reloads = 40
	ctx, done := context.WithCancel(t.Context())
	var mu sync.Mutex
	means := map[uint64]bool{} // what a generation says
	var askers sync.WaitGroup
	for i := range 3 {
		askers.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				q := question{core.Subject{Username: "ann"}, core.Access{Action: core.ActionRead, Kind: core.KindKey, Environment: "default", Key: fmt.Sprint("k", n%5), Exists: true}}
				before := p.Generation()
				d, err := p.decide(t.Context(), &q.who, q.ask)
				if d.Late || p.Generation() != before {
					continue
				}
				mu.Lock()
				said, known := means[before]
				means[before] = d.Allow
				mu.Unlock()
				if err != nil || known && said != d.Allow {
					t.Errorf("generation %d allows: %v, and %v (%v)", before, said, d.Allow, err)
					return
				}
			}
		})
	}
	seen := map[uint64]bool{p.Generation(): true}
	for n := range reloads {
		if err := p.Load(t.Context(), n%2 == 0); err != nil {
			t.Errorf("Load: %v", err)
		}
		g := p.Generation()
		if seen[g] {
			t.Errorf("generation %d comes again with reload %d", g, n+1)
		}
		seen[g] = true
		mu.Lock()
		if said, known := means[g]; known && said != (n%2 == 0) {
			t.Errorf("generation %d allows: %v, after a reload that allows: %v", g, said, n%2 == 0)
		}
		means[g] = n%2 == 0
		mu.Unlock()
	}
	done()
	askers.Wait()
}

func reloadGoverns(t testing.TB, open func(t testing.TB) Policy) {
	p := open(t)
	asked := questions(50)
	for n := range 10 {
		if err := p.Load(t.Context(), n%2 == 0); err != nil {
			t.Fatalf("Load: %v", err)
		}
		for i := range asked {
			if d, err := p.decide(t.Context(), &asked[i].who, asked[i].ask); err != nil || d.Allow != (n%2 == 0) {
				t.Fatalf("after a reload that allows: %v, an ask is answered %+v, %v", n%2 == 0, d, err)
			}
		}
	}
}
