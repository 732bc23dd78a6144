package authoring_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/observability"
	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/policy/authoring"
	"github.com/dynconfig/dynconfig/wire"
)

// recorded is a node whose decisions are recorded.
func recorded(t *testing.T, o policy.RecordOptions) *node {
	t.Helper()
	log, err := observability.OpenDecisionLog(t.TempDir(), observability.DecisionLogOptions{Lost: policy.LostRecord})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	records := policy.NewRecords(log, o)
	n, err := deploy().open(t, settings{Options: authoring.Options{Decisions: records}})
	if err != nil {
		t.Fatal(err)
	}
	n.authorizer.Record(records)
	return n
}

// decisions are all that a filter selects: a page ends early where reading takes long.
func (n *node) decisions(t *testing.T, f wire.DecisionFilter) []wire.Decision {
	t.Helper()
	var all []wire.Decision
	for {
		page, err := n.Decisions(t.Context(), admin, f)
		if err != nil {
			t.Fatal(err)
		}
		if all = append(all, page.Decisions...); page.NextCursor == "" {
			return all
		}
		f.Cursor = page.NextCursor
	}
}

func TestRecordsAreShownToThoseWhoMayReadThePolicyAndTheirLookIsRecorded(t *testing.T) {
	n := recorded(t, policy.RecordOptions{})
	eve := who("eve")
	eve.RequestID = "eve-1"
	if _, err := n.Decisions(t.Context(), eve, wire.DecisionFilter{}); !errors.Is(err, core.ErrForbidden) {
		t.Fatalf("eve is shown records: %v", err)
	}
	list := n.decisions(t, wire.DecisionFilter{RequestID: "eve-1"})
	if len(list) != 1 {
		t.Fatalf("got %+v", list)
	}
	if d := list[0]; d.Principal != "eve" || d.Kind != "policy" || d.Action != "read" || d.Operation != "decisions" || d.Allow {
		t.Errorf("got %+v", d)
	}
	if list := n.decisions(t, wire.DecisionFilter{Principal: "admin-user"}); len(list) > 0 {
		t.Errorf("allowed accesses are recorded: %+v", list)
	}
	select {
	case got := <-n.audit.list:
		if got != "eve read denied" {
			t.Errorf("audited is %q", got)
		}
	default:
		t.Error("the denial is not audited")
	}
	all := recorded(t, policy.RecordOptions{Allows: 1})
	for range 2 {
		list = all.decisions(t, wire.DecisionFilter{})
	}
	if len(list) == 0 || list[0].Operation != "decisions" || !list[0].Allow {
		t.Errorf("the look before is not recorded: %+v", list)
	}
}

func TestFilterThatSelectsNothingByMistakeIsRefused(t *testing.T) {
	n := recorded(t, policy.RecordOptions{})
	now := time.Now()
	for name, f := range map[string]wire.DecisionFilter{
		"limit":    {Limit: policy.MaxDecisions + 1},
		"negative": {Limit: -1},
		"action":   {Action: "get"},
		"kind":     {Kind: "keys"},
		"period":   {Since: now, Until: now},
		"cursor":   {Cursor: "forged"},
	} {
		if _, err := n.Decisions(t.Context(), admin, f); !errors.Is(err, core.ErrMalformed) {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
	}
}

func TestNodeThatKeepsNoRecordsShowsNone(t *testing.T) {
	n := deploy().start(t, settings{})
	page, err := n.Decisions(t.Context(), admin, wire.DecisionFilter{})
	if err != nil || page.Decisions == nil || len(page.Decisions) > 0 {
		t.Errorf("got %+v, %v", page, err)
	}
}
