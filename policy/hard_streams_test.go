package policy

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// byTeam lets those read what lies in the namespace that their team claim names, beside what the lists say.
const byTeam = `decision := {"allow": true, "rule": "team"} if {
	input.action == "read"
	input.resource.namespaces[0] == input.subject.claims.team
} else := data.dynconfig.acl.decision`

func team(name string) map[string]any {
	return map[string]any{"team": name, "exp": json.Number("1700000000"), "session": name + "1"}
}

func (l *listener) renew(s *served, who core.Caller) { l.w.Renew(who.Subject, s.policy.Alike) }

func TestRightsThatAFreshTokenGainsAndLosesBeginAnew(t *testing.T) {
	s := serve(t, module(byTeam))
	s.write(put("red.k", "1", ""), put("blue.k", "2", ""))
	l := s.listen(caller("ann", team("red")), snapshotOf("red.*", "blue.*"))
	l.hears("subscribed", "update red.k 1", "bookmark")
	l.renew(s, caller("ann", team("blue")))
	l.anew("update blue.k 2")
	s.write(put("red.k", "3", ""))
	s.write(put("blue.k", "4", ""))
	l.hears("update blue.k 4")
	l.renew(s, caller("ann", nil))
	l.anew()
}

// anew demands a reset, some events, and the bookmark.
func (l *listener) anew(events ...string) {
	l.t.Helper()
	if ev, err := l.next(); err != nil || ev.Kind != core.EventReset {
		l.t.Fatalf("got %+v, %v, want a reset", ev, err)
	}
	l.hears(append(events, "bookmark")...)
}

func TestAFreshTokenWhoseClaimsDoNotMatterChangesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		set Set
		is  map[string]any
	}{
		"no claim is read":        {Set{}, map[string]any{"team": "blue", "exp": json.Number("2")}},
		"another claim is read":   {module(byTeam), map[string]any{"team": "red", "session": "2", "groups": []any{"x"}}},
		"all claims are read":     {module("decision := {\"allow\": count(input.subject.claims) > 0}"), map[string]any{"team": "red", "session": "red1", "exp": json.Number("1800000000"), "jti": "9"}},
		"the same number is read": {module("decision := {\"allow\": input.subject.claims.exp > 0}"), team("red")},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, c.set)
			s.policy.Generation()
			l := s.listen(caller("admin-user", team("red")), core.Subscription{Patterns: []string{"red.*"}})
			l.hears("subscribed")
			l.renew(s, caller("admin-user", c.is))
			if _, err := s.Write(t.Context(), caller("admin-user", team("red")), core.Request{Writes: []core.Write{put("red.k", "1", "")}}); err != nil {
				t.Fatal(err)
			}
			l.hears("update red.k 1")
		})
	}
}

func TestSubjectsAreAlikeUnlessAClaimThatIsReadDiffers(t *testing.T) {
	level := func(n string) *core.Subject {
		return &core.Subject{Username: "ann", Claims: map[string]any{"level": json.Number(n), "team": "red"}}
	}
	a := open(t, module(`decision := {"allow": input.subject.claims.level > 9007199254740992}`))
	if a.Alike(level("9007199254740992"), level("9007199254740993")) {
		t.Error("claims that differ beyond 2^53 are taken to be alike")
	}
	other := level("1")
	other.Username = "bob"
	if a.Alike(level("1"), other) || !a.Alike(level("1"), level("1")) {
		t.Error("the name does not count")
	}
	if err := a.Load(t.Context(), Set{}); err != nil {
		t.Fatal(err)
	}
	if !a.Alike(level("1"), level("2")) {
		t.Error("a claim that nothing reads any more counts")
	}
}

func TestAnACLChangeIsToldForThatKeyAlone(t *testing.T) {
	s := serve(t, Set{})
	s.write(namespace("app", "read: ann"))
	s.write(put("app.k", "1", ""), put("app.l", "1", ""))
	l := s.listen(caller("ann", nil), snapshotOf("app.*"))
	l.hears("subscribed", "update app.k 1", "update app.l 1", "bookmark")
	from := l.since("app.*")
	s.write(rerule("app.k", "read: bob"))
	l.hears("revoked app.k")
	s.write(put("app.k", "2", ""))
	s.write(rerule("app.k", "read: a*"))
	l.hears("granted app.k 2")
	s.write(rerule("app.k", "read: ann; write: bob")) // nothing that concerns her
	l.hears("update app.k 2")
	s.write(rerule("app.l", "read: bob"))
	l.hears("revoked app.l")
	again := s.listen(caller("ann", nil), from)
	again.hears("subscribed", "revoked app.k", "granted app.k 2", "update app.k 2", "revoked app.l", "bookmark")
}

func TestANamespaceChangeBeginsAnewForWhatItTouches(t *testing.T) {
	s := serve(t, Set{})
	s.write(namespace("app", "read: ann"), namespace("team", "read: ann"))
	s.write(put("app.ui.k", "1", ""), put("team.k", "1", ""))
	l := s.listen(caller("ann", nil), snapshotOf("app.ui.k", "team.*"))
	l.hears("subscribed", "update app.ui.k 1", "update team.k 1", "bookmark")
	from := l.since("app.ui.k", "team.*")
	s.write(namespace("app.ui", "read: bob"))
	l.hears("reset app.ui.k", "bookmark")
	s.write(put("team.k", "2", ""))
	l.hears("update team.k 2")
	s.write(core.Write{Op: core.WriteDelete, Kind: core.KindNamespace, Name: "app.ui"})
	l.hears("reset app.ui.k", "update app.ui.k 1", "bookmark")
	again := s.listen(caller("ann", nil), from)
	again.hears("subscribed", "update team.k 2", "reset app.ui.k", "update app.ui.k 1", "bookmark")
}

func TestAnotherPolicyBeginsAnewForAllAndEndsThoseThatItDenies(t *testing.T) {
	s := serve(t, Set{})
	s.write(put("app.k", "1", "read: ann"), put("app.l", "1", "read: ann"))
	l := s.listen(caller("ann", nil), snapshotOf("app.*"))
	l.hears("subscribed", "update app.k 1", "update app.l 1", "bookmark")
	from := l.since("app.*")
	frozen := func(rule string) Set {
		return module("decision := {\"allow\": false, \"rule\": \"frozen\", \"reason\": \"Frozen\"} if {\n\t" + rule + "\n} else := data.dynconfig.acl.decision")
	}
	s.load(frozen("input.resource.key == \"app.l\""))
	l.hears("reset app.*", "update app.k 1", "bookmark")
	again := s.listen(caller("ann", nil), from)
	again.hears("subscribed", "reset app.*", "update app.k 1", "bookmark")
	s.load(frozen("input.action == \"watch\"\n\tinput.subject.username == \"ann\""))
	other := s.listen(caller("bob", nil), snapshotOf("app.*"))
	other.hears("subscribed", "bookmark")
	for _, stream := range []*listener{l, again, s.listen(caller("ann", nil), from)} {
		if err := stream.ends(); !errors.Is(err, core.ErrForbidden) {
			t.Errorf("got %v, want forbidden", err)
		}
	}
	s.write(put("app.m", "1", "read: bob"))
	other.hears("update app.m 1")
}

func TestAHeldReadWhoseRightIsLostIsForbidden(t *testing.T) {
	for name, lose := range map[string]func(s *served){
		"by the key's list":       func(s *served) { s.write(rerule("app.k", "read: bob")) },
		"by the namespace's":      func(s *served) { s.write(namespace("app", "read: bob")) },
		"by another policy":       func(s *served) { s.load(module(`decision := {"allow": input.subject.username != "ann"}`)) },
		"by an inner namespace's": func(s *served) { s.write(namespace("app.ui", "read:")) },
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, Set{})
			s.write(namespace("app", "read: ann"))
			s.write(put("app.ui.k", "1", ""), put("app.k", "1", ""))
			key := "app.k"
			if name == "by an inner namespace's" {
				key = "app.ui.k"
			}
			asks := func() uint64 { return s.policy.Stats().Hits + s.policy.Stats().Misses }
			held, since, before := make(chan error, 1), int64(1), asks()
			go func() {
				_, err := s.Get(t.Context(), caller("ann", nil), core.Read{Kind: core.KindKey, Name: key, Since: &since, Wait: time.Minute})
				held <- err
			}()
			for asks() == before { // it was allowed once, and then it is held
				time.Sleep(time.Millisecond)
			}
			lose(s)
			if err := <-held; !errors.Is(err, core.ErrForbidden) {
				t.Errorf("got %v, want forbidden", err)
			}
		})
	}
}
