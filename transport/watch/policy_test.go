package watch

import (
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/wire"
)

// underPolicy runs a test under Rego: "writer" may do everything, and otherwise what the rules say.
func underPolicy(t *testing.T, rules string, test func(f *fixture, load func(rules string))) {
	set := func(rules string) policy.Set {
		return policy.Set{Modules: map[string]string{"authz.rego": "package dynconfig.authz\n\n" + rules}}
	}
	var a *policy.Authorizer
	alike := func(was, is *core.Subject) bool { return a.Alike(was, is) }
	runUnder(t, Options{Alike: alike}, func(t *testing.T) core.Authorizer {
		var err error
		if a, err = policy.New(t.Context(), policy.Options{Admins: []string{"writer"}, Set: set(rules)}); err != nil {
			t.Fatal(err)
		}
		return a
	}, func(f *fixture) {
		test(f, func(rules string) {
			if err := a.Load(t.Context(), set(rules)); err != nil {
				t.Fatal(err)
			}
		})
	})
}

const (
	shipped = `decision := data.dynconfig.acl.decision`
	byTeam  = `decision := {"allow": true, "rule": "team"} if {
	input.action == "read"
	input.resource.namespaces[0] == input.subject.claims.team
} else := data.dynconfig.acl.decision`
)

func TestFreshTokenWithOtherRightsBeginsAnewWithinASecond(t *testing.T) {
	underPolicy(t, byTeam, func(f *fixture, _ func(string)) {
		f.put("red.k", `1`)
		f.put("blue.k", `2`)
		p := f.open("?subscribe=*&snapshot=true", "alice/100/red")
		defer p.bye()
		p.next("subscribed")
		if u := p.next("update"); u.Key != "red.k" {
			t.Errorf("got %+v", u)
		}
		p.next("bookmark")
		p.until("token_expiring")
		begin := time.Now()
		p.send(`{"token":"alice/200/blue"}`)
		p.next("reset")
		if u := p.next("update"); u.Key != "blue.k" {
			t.Errorf("got %+v", u)
		}
		p.next("bookmark")
		if d := time.Since(begin); d > time.Second { // by a clock that stands still while anyone has something to do
			t.Errorf("told after %v", d)
		}
	})
}

func TestFreshTokenWithTheSameRightsIsNotNoticed(t *testing.T) {
	for name, rules := range map[string]string{"claims that are read are the same": byTeam, "no claim is read": shipped} {
		t.Run(name, func(t *testing.T) {
			underPolicy(t, rules, func(f *fixture, _ func(string)) {
				p := f.open("?subscribe=*", "writer/100/red")
				defer p.bye()
				p.next("subscribed")
				p.send(`{"token":"writer/200/red"}`)
				p.send(`{"unsubscribe":["x"]}`)
				p.next("unsubscribed")
				f.put("red.k", `1`)
				p.next("update")
			})
		})
	}
}

func TestAnotherPolicyIsToldWithinASecond(t *testing.T) {
	underPolicy(t, shipped, func(f *fixture, load func(string)) {
		f.put("app.k", `1`)
		var all []*peer
		for _, name := range []string{"alice", "bob", "writer"} {
			p := f.open("?subscribe=app.*", name)
			p.next("subscribed")
			all = append(all, p)
		}
		begin := time.Now()
		load(`decision := {"allow": false, "rule": "closed", "reason": "No watching today"} if {
	input.action == "watch"
	input.subject.username == "bob"
} else := {"allow": input.subject.username != "bob"}`)
		if reason := all[1].closes(wire.CloseForbidden); reason != "No watching today" {
			t.Errorf("closed with %q", reason)
		}
		for _, p := range []*peer{all[0], all[2]} {
			p.next("reset")
			if u := p.next("update"); u.Key != "app.k" {
				t.Errorf("got %+v", u)
			}
			p.next("bookmark")
			p.bye()
		}
		if d := time.Since(begin); d > time.Second {
			t.Errorf("told after %v", d)
		}
		f.open("?subscribe=app.*", "bob").closes(wire.CloseForbidden)
	})
}

func TestTokensThatDoNotVerifyCountAgainstTheirAddressHoweverTheyCome(t *testing.T) {
	run(t, Options{}, func(f *fixture) {
		early, good := f.stranger(), f.stranger()
		for i := range 10 {
			switch i % 3 {
			case 0:
				_, res := f.dial("", header("Sec-WebSocket-Protocol", "dynconfig.v1, bearer.bad"))
				f.problem(res, 401)
			case 1:
				p, _ := f.dial("", nil)
				p.send(`{"token":"bad"}`)
				p.closes(wire.CloseToken)
			default:
				p := f.open("", "alice")
				p.send(`{"token":"bad"}`)
				p.closes(wire.CloseToken)
			}
		}
		for _, token := range []string{"bad", ""} {
			_, res := f.dial("", header("Sec-WebSocket-Protocol", "dynconfig.v1, bearer."+token))
			f.problem(res, 429)
			if res.Header.Get("RateLimit-Limit") != "10" || res.Header.Get("Retry-After") == "" {
				t.Errorf("refused with %v", res.Header)
			}
		}
		early.send(`{"token":"bad"}`)
		early.closes(wire.CloseRate)
		p := f.open("", "alice") // who has a token is not locked out by others behind the same address
		p.send(`{"token":"bad"}`)
		p.closes(wire.CloseRate)
		good.send(`{"token":"alice","subscribe":["a"]}`)
		good.next("subscribed")
		good.bye()
	})
}
