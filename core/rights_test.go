package core_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

// claimed lets those read whose claim "may" names the key, and notes who is asked to read what.
type claimed struct {
	mu         sync.Mutex
	generation uint64
	unwatched  string // nobody may watch this pattern
	asked      map[string]int
}

func (p *claimed) Authorize(_ context.Context, who *core.Subject, ask core.Access) (core.Decision, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := core.Decision{Allow: true, Reason: "the test says no"}
	switch ask.Action {
	case core.ActionRead:
		if p.asked == nil {
			p.asked = map[string]int{}
		}
		p.asked[who.Username]++
		may, limited := who.Claims["may"].(string)
		d.Allow = !limited || may == ask.Key
		if ask.ACL != nil {
			d.Allow = d.Allow && in(ask.ACL.ACL.Read, who.Username)
		}
	case core.ActionWatch:
		d.Allow = ask.Key != p.unwatched
	}
	return d, nil
}

func (p *claimed) Generation() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.generation
}

// reload makes another policy of it.
func (p *claimed) reload(unwatched string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unwatched = unwatched
	p.generation++
}

// counted returns who was asked about since it was last called.
func (p *claimed) counted() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := p.asked
	p.asked = nil
	return asked
}

func TestANamespaceChangeResetsWhatItTouchesAndTheRestGoesOn(t *testing.T) {
	w := start(t, core.Options{})
	open := func(name string) core.Write {
		return core.Write{Op: core.WritePut, Kind: core.KindNamespace, Name: name, SetACL: true, ACL: &core.ACL{Read: []string{"bob"}}}
	}
	w.write(t, "root", open("app"), open("team"))
	w.write(t, "root", put("app.k", "1"), put("team.k", "1"))
	s := w.stream(t, "bob")
	s.w.Subscribe(core.Subscription{Patterns: []string{"app.*", "team.*", "team.k"}, Snapshot: true})
	from := s.expect("subscribed", "update app.k 1 snapshot", "update team.k 1 snapshot", "bookmark synced")[3]
	closing := open("app")
	closing.ACL = &core.ACL{Read: []string{}}
	w.write(t, "root", put("team.k", "2"), closing) // one commit rules a namespace and changes a key of another
	w.write(t, "root", put("team.k", "3"))
	seen := s.until(core.EventBookmark)
	var lines []string
	for _, ev := range seen {
		lines = append(lines, line(ev))
		if ev.Kind == core.EventReset && !slices.Equal(ev.Patterns, []string{"app.*"}) {
			t.Errorf("reset of %v, want of app.*", ev.Patterns)
		}
	}
	lines = slices.DeleteFunc(lines, func(l string) bool { return l == "reset" || l == "bookmark synced" })
	if len(seen)-len(lines) != 2 {
		t.Errorf("got %v", seen)
	}
	for len(lines) < 2 {
		lines = append(lines, line(s.next()))
	}
	if !slices.Equal(lines, []string{"update team.k 2", "update team.k 3"}) {
		t.Errorf("of the other patterns came %v", lines)
	}
	r := w.stream(t, "bob")
	r.w.Subscribe(core.Subscription{Patterns: []string{"app.*", "team.*"}, SinceRevision: from.Position.String()})
	r.expect("subscribed", "update team.k 2", "update team.k 3", "reset", "bookmark synced")
}

func TestNothingIsRevokedThatWasNeverShown(t *testing.T) {
	w := start(t, core.Options{})
	rule := func(readers ...string) core.Write {
		return core.Write{Op: core.WritePatch, Kind: core.KindKey, Name: "k", SetACL: true, ACL: &core.ACL{Read: readers}}
	}
	first := put("k", `"secret"`)
	first.SetACL, first.ACL = true, &core.ACL{Read: []string{"bob"}}
	s := w.stream(t, "bob")
	s.w.Subscribe(sub("*"))
	s.expect("subscribed")
	other := w.stream(t, "root")
	other.w.Subscribe(sub("*"))
	other.expect("subscribed")
	w.write(t, "root", first) // bob's stream is not read meanwhile
	w.write(t, "root", rule("eve"))
	other.expect("update k 1", "update k 2")
	open := put("open", "1")
	open.SetACL, open.ACL = true, &core.ACL{Read: []string{"*"}}
	w.write(t, "root", open)
	s.expect("update open 1")
	w.write(t, "root", rule("bob"))
	s.expect("granted k 3")
	w.write(t, "root", rule())
	s.expect("revoked k")
}

// thousand writes the keys k0000 to k0999.
func (w *world) thousand(t *testing.T) {
	t.Helper()
	for i := range 20 {
		var writes []core.Write
		for j := range 50 {
			writes = append(writes, put(fmt.Sprintf("k%04d", 50*i+j), "1"))
		}
		w.write(t, "root", writes...)
	}
}

func TestAFreshTokenCountsInTheMidstOfACatchUp(t *testing.T) {
	w := start(t, core.Options{Authorizer: &claimed{}})
	w.thousand(t)
	s := w.stream(t, "bob")
	s.w.Subscribe(core.Subscription{Patterns: []string{"*"}, Snapshot: true})
	s.expect("subscribed", "update k0000 1 snapshot")
	s.w.Renew(&core.Subject{Username: "bob", Claims: map[string]any{"may": "k0999"}}, core.Alike)
	before := s.until(core.EventReset)
	if len(before) > 100 {
		t.Errorf("%d events came under the token of before, want no more than were gathered by then", len(before))
	}
	s.expect("update k0999 1 snapshot", "bookmark synced")
	w.write(t, "root", put("k0001", "2"), put("k0999", "2"))
	s.expect("update k0999 2")
}

func TestACatchUpIsGivenUpForOneThatBeginsAnew(t *testing.T) {
	w := start(t, core.Options{Authorizer: &claimed{}})
	w.thousand(t)
	s := w.stream(t, "bob")
	s.w.Subscribe(core.Subscription{Patterns: []string{"*"}, Snapshot: true})
	s.expect("subscribed", "update k0000 1 snapshot")
	s.w.Renew(&core.Subject{Username: "bob"}, func(*core.Subject, *core.Subject) bool { return false })
	if before := s.until(core.EventReset); len(before) > 100 {
		t.Errorf("%d events came first, want no more than were gathered by then", len(before))
	}
	if after := s.until(core.EventBookmark); len(after) != 1001 {
		t.Errorf("%d events came after the reset, want 1000 keys and the bookmark", len(after))
	}
}

func TestAMessageIsAnsweredAlthoughItsCatchUpIsGivenUp(t *testing.T) {
	w := start(t, core.Options{Authorizer: &claimed{}})
	s := w.stream(t, "bob")
	s.w.Subscribe(sub("k"))
	s.expect("subscribed")
	w.write(t, "root", put("k", "1"))
	s.w.Subscribe(core.Subscription{Patterns: []string{"l"}, ID: "7", Snapshot: true})
	s.expect("update k 1") // the answer is the next thing to do
	s.w.Renew(&core.Subject{Username: "bob", Claims: map[string]any{"may": "x"}}, core.Alike)
	if ev := s.expect("subscribed", "reset", "bookmark synced")[0]; ev.ID != "7" {
		t.Errorf("got %+v", ev)
	}
}

func TestAFreshTokenWithTheSameRightsChangesNothing(t *testing.T) {
	w := start(t, core.Options{Authorizer: &claimed{}})
	s := w.stream(t, "bob")
	s.w.Subscribe(sub("*"))
	s.expect("subscribed")
	s.w.Renew(&core.Subject{Username: "bob", Claims: map[string]any{"exp": json.Number("2"), "iat": json.Number("1"), "jti": "x"}}, core.Alike)
	w.write(t, "root", put("k", "1"))
	s.expect("update k 1")
	s.w.Renew(&core.Subject{Username: "bob", Claims: map[string]any{"team": "x"}}, func(*core.Subject, *core.Subject) bool { return true })
	w.write(t, "root", put("k", "2"))
	s.expect("update k 2")
}

func TestAPolicyThatDeniesWatchingEndsTheStreamsThatItDenies(t *testing.T) {
	policy := &claimed{}
	w := start(t, core.Options{Authorizer: policy})
	denied, other := w.stream(t, "bob"), w.stream(t, "bob")
	denied.w.Subscribe(sub("fine", "app.*"))
	denied.expect("subscribed")
	other.w.Subscribe(sub("fine"))
	other.expect("subscribed")
	policy.reload("app.*")
	want(t, denied.end(), core.ErrForbidden)
	other.expect("reset", "bookmark synced")
}

func TestAResumeFromBeforeAnotherPolicyBeginsAnew(t *testing.T) {
	policy := &claimed{}
	w := start(t, core.Options{Authorizer: policy})
	w.write(t, "root", put("k", "1"))
	s := w.stream(t, "bob")
	s.w.Subscribe(core.Subscription{Patterns: []string{"k"}, Snapshot: true})
	from := s.expect("subscribed", "update k 1 snapshot", "bookmark synced")[2]
	resume := core.Subscription{Patterns: []string{"k"}, SinceRevision: from.Position.String()}
	again := w.stream(t, "bob")
	again.w.Subscribe(resume)
	again.expect("subscribed", "bookmark synced")
	policy.reload("") // at once, and not when the hub next looks
	again = w.stream(t, "bob")
	again.w.Subscribe(resume)
	again.expect("subscribed", "reset", "update k 1 snapshot", "bookmark synced")
	resume.SinceRevision = w.write(t, "root", put("k", "2")).Position.String()
	again = w.stream(t, "bob")
	again.w.Subscribe(resume)
	again.expect("subscribed", "bookmark synced")
}

func TestAnACLChangeOfOneKeyAsksThoseAloneWhoWatchIt(t *testing.T) {
	policy := &claimed{}
	w := start(t, core.Options{Authorizer: policy})
	w.write(t, "root", put("app.k", "1"))
	concerned, others := map[string]*stream{}, map[string]*stream{}
	for i, pattern := range []string{"app.k", "app.*", "*", "app.l", "ap.*", "app.k.*", "team/*", "app"} {
		name := fmt.Sprintf("user%d", i)
		s := w.stream(t, name)
		s.w.Subscribe(sub(pattern))
		s.expect("subscribed")
		if i < 3 {
			concerned[name] = s
		} else {
			others[name] = s
		}
	}
	last := w.stream(t, "last")
	last.w.Subscribe(sub("app.last"))
	last.expect("subscribed")
	policy.counted()
	w.write(t, "root", core.Write{Op: core.WritePatch, Kind: core.KindKey, Name: "app.k", SetACL: true, ACL: &core.ACL{Read: []string{"eve"}}})
	for _, s := range concerned {
		s.expect("revoked app.k")
	}
	w.Stats() // waits for the hub, which has told all whom it tells
	for _, s := range others {
		s.expectNothing()
	}
	asked := policy.counted()
	for name, n := range asked {
		if concerned[name] == nil || n != 2 { // by the rules of before, and by those of now
			t.Errorf("%s was asked about %d times", name, n)
		}
	}
	if len(asked) != len(concerned) {
		t.Errorf("asked about %v, want about %d principals", asked, len(concerned))
	}
	w.write(t, "root", core.Write{Op: core.WritePut, Kind: core.KindNamespace, Name: "app", SetACL: true, ACL: &core.ACL{Read: []string{"eve"}}})
	w.write(t, "root", put("app.last", "1"))
	last.until(core.EventBookmark)
	for name, s := range concerned {
		s.until(core.EventBookmark)
		delete(concerned, name)
	}
	w.Stats()
	for _, name := range []string{"user4", "user6", "user7"} {
		others[name].expectNothing()
	}
	asked = policy.counted()
	for _, name := range []string{"user4", "user6", "user7"} {
		if asked[name] != 0 {
			t.Errorf("%s follows nothing in the namespace and was asked about %d times", name, asked[name])
		}
	}
}

// BenchmarkACLChange is how long an ACL change of one key takes to be told to all who watch it.
func BenchmarkACLChange(b *testing.B) {
	const watchers = 10_000
	w := start(b, core.Options{})
	w.write(b, "root", put("app.k", "1"))
	var streams []*stream
	for i := range watchers {
		s := w.stream(b, fmt.Sprintf("user%d", i))
		s.w.Subscribe(sub("app.k"))
		s.expect("subscribed")
		streams = append(streams, s)
	}
	rule := core.Write{Op: core.WritePatch, Kind: core.KindKey, Name: "app.k", SetACL: true}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		rule.ACL = &core.ACL{Read: []string{"*"}}
		if i%2 == 1 {
			rule.ACL.Read = []string{"nobody"}
		}
		w.write(b, "root", rule)
		for _, s := range streams {
			s.next()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*watchers), "ns/watcher")
}
