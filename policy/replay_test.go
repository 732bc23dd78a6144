package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

var replayTime = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// recorded is a read of app.k by ann that the shipped rules allowed.
func recorded(change func(*wire.Decision)) wire.Decision {
	d := wire.Decision{
		Time: replayTime, Count: 1, Principal: "ann", Action: "read", Kind: "key", Key: "app.k", Environment: "default", Operation: "get",
		Allow: true, Rule: "key-read",
		Input: json.RawMessage(`{"subject":{"username":"ann","claims":{}},"action":"read","environment":"default",
			"resource":{"kind":"key","key":"app.k","namespaces":["app"],"exists":true,"acls":{"read":{"any":true,"names":{},"prefixes":[]}},"namespace_acls":[]},
			"request":{"operation":"get","changes":[],"address":""}}`),
	}
	if change != nil {
		change(&d)
	}
	return d
}

func records(list ...wire.Decision) iter.Seq2[wire.Decision, error] {
	return func(yield func(wire.Decision, error) bool) {
		for _, d := range list {
			if !yield(d, nil) {
				return
			}
		}
	}
}

func replayed(t *testing.T, p *Program, o ReplayOptions, list ...wire.Decision) wire.Replayed {
	t.Helper()
	r, err := Replay(t.Context(), p, records(list...), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReplayOfTheSameRulesChangesNothing(t *testing.T) {
	r := replayed(t, program(t, Set{}), ReplayOptions{}, recorded(nil), recorded(func(d *wire.Decision) { d.Count = 4 }))
	if want := (wire.Replayed{Decisions: 5, Changes: []wire.ReplayChange{}, Warnings: []string{}}); !reflect.DeepEqual(r, want) {
		t.Errorf("got %+v, want %+v", r, want)
	}
}

func TestReplayGroupsWhatChangesAndCountsMergedRecords(t *testing.T) {
	draft := program(t, module("decision := {\"allow\": false, \"rule\": \"not-app\"} if {\n\tstartswith(input.resource.key, \"app.\")\n} else := data.dynconfig.acl.decision"))
	other := func(d *wire.Decision) {
		d.Key, d.Input = "b.k", json.RawMessage(strings.ReplaceAll(string(d.Input), "app.k", "b.k"))
	}
	bob := func(d *wire.Decision) {
		d.Principal, d.Count, d.Last = "bob", 40, replayTime.Add(time.Minute)
	}
	denied := func(d *wire.Decision) { d.Allow, d.Rule = false, "no-read" }
	r := replayed(t, draft, ReplayOptions{}, recorded(nil), recorded(other), recorded(bob), recorded(nil), recorded(denied))
	group := wire.ReplayChange{
		Principal: "ann", Action: "read", Kind: "key", Key: "app.k", Environment: "default", Allowed: true, Rule: "key-read", NewRule: "not-app", Count: 2,
	}
	first := group
	first.Principal, first.Count = "bob", 40
	if want := []wire.ReplayChange{first, group}; !reflect.DeepEqual(r.Changes, want) {
		t.Errorf("got %+v, want %+v", r.Changes, want)
	}
	if r.Decisions != 44 || r.Changed != 42 || r.Truncated {
		t.Errorf("got %+v, want 42 of 44 changed", r)
	}
}

func TestReplaySeesTheRecordedTime(t *testing.T) {
	draft := program(t, module(`decision := {"allow": time.clock(time.now_ns()) == [5, 6, 7]}`))
	if r := replayed(t, draft, ReplayOptions{}, recorded(nil)); r.Changed != 0 {
		t.Errorf("got %+v, want allowed at the time recorded", r)
	}
}

func TestReplaySaysWhatItCouldNotSee(t *testing.T) {
	claims := module(`decision := {"allow": input.subject.claims.team == "a"}`)
	everything := module(`decision := {"allow": count(input.subject.claims) > 1}`)
	clock := module(`decision := {"allow": time.now_ns() > 0}`)
	withTeam := func(d *wire.Decision) {
		d.Input = json.RawMessage(strings.Replace(string(d.Input), `"claims":{}`, `"claims":{"team":"b"}`, 1))
	}
	denied := func(d *wire.Decision) { d.Allow = false }
	merged := func(d *wire.Decision) { d.Count = 2 }
	for name, c := range map[string]struct {
		set     Set
		records []wire.Decision
		says    string
	}{
		"nothing recorded":          {Set{}, nil, "No decision"},
		"denials alone":             {Set{}, []wire.Decision{recorded(denied)}, "Denials alone"},
		"a claim that is missing":   {claims, []wire.Decision{recorded(nil)}, "no recorded input has: team"},
		"all claims":                {everything, []wire.Decision{recorded(nil)}, "reads all claims"},
		"a draft that fails":        {module(`decision := {"allow": true} if input.nothing`), []wire.Decision{recorded(nil)}, "failed to decide 1"},
		"an input that is none":     {Set{}, []wire.Decision{recorded(func(d *wire.Decision) { d.Input = nil })}, "1 decisions are not recorded as a whole"},
		"an input that is cut":      {Set{}, []wire.Decision{recorded(func(d *wire.Decision) { d.Incomplete = true })}, "1 decisions are not recorded as a whole"},
		"records that were lost":    {Set{}, []wire.Decision{recorded(func(d *wire.Decision) { d.Rule, d.Count = RuleLost, 9 })}, "9 decisions of that period were not recorded"},
		"merged ones and the clock": {clock, []wire.Decision{recorded(merged)}, "replayed as the first"},
	} {
		r := replayed(t, program(t, c.set), ReplayOptions{}, c.records...)
		if !slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.Contains(w, c.says) }) {
			t.Errorf("%s: got warnings %q, want one that says %q", name, r.Warnings, c.says)
		}
	}
	if r := replayed(t, program(t, claims), ReplayOptions{}, recorded(withTeam)); len(r.Warnings) > 0 {
		t.Errorf("nothing is missing: got %q", r.Warnings)
	}
}

func TestReplayIsBounded(t *testing.T) {
	draft := program(t, module(`decision := {"allow": false}`))
	many := func(yield func(wire.Decision, error) bool) {
		for i := range maxReplayGroups + 10 {
			if !yield(recorded(func(d *wire.Decision) { d.Key = fmt.Sprint(i) }), nil) {
				return
			}
		}
	}
	r, err := Replay(t.Context(), draft, many, ReplayOptions{})
	if err != nil || !r.Truncated || len(r.Changes) != maxReplayChanges || r.Changed != maxReplayGroups+10 {
		t.Errorf("many groups: got %d of %d, truncated %v, %v", len(r.Changes), r.Changed, r.Truncated, err)
	}
	if r, err := Replay(t.Context(), draft, many, ReplayOptions{Records: 7}); err != nil || !r.Truncated || r.Decisions != 7 {
		t.Errorf("7 records: got %d, truncated %v, %v", r.Decisions, r.Truncated, err)
	}
	if r, err := Replay(t.Context(), draft, many, ReplayOptions{Until: time.Now().Add(-time.Second)}); err != nil || !r.Truncated || r.Decisions != 0 {
		t.Errorf("no time left: got %d, truncated %v, %v", r.Decisions, r.Truncated, err)
	}
}

func TestReplayEndsWithItsRecordsOrItsCaller(t *testing.T) {
	broken := errors.New("the disk")
	fails := func(yield func(wire.Decision, error) bool) { yield(wire.Decision{}, broken) }
	if _, err := Replay(t.Context(), program(t, Set{}), fails, ReplayOptions{}); !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of the records", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Replay(ctx, program(t, Set{}), records(recorded(nil)), ReplayOptions{}); !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
}
