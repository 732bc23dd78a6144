package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-policy-agent/opa/v1/plugins/logs"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/observability"
	"github.com/dynconfig/dynconfig/wire"
)

// recording is an Authorizer whose decisions are recorded.
type recording struct {
	*Authorizer
	records *Records
	log     *observability.DecisionLog
	dir     string
}

func record(tb testing.TB, set Set, o RecordOptions) *recording {
	tb.Helper()
	r := &recording{Authorizer: open(tb, set), dir: tb.TempDir()}
	var err error
	if r.log, err = observability.OpenDecisionLog(r.dir, observability.DecisionLogOptions{Lost: LostRecord}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = r.log.Close() })
	r.records = NewRecords(r.log, o)
	r.Record(r.records)
	return r
}

// ask decides, on behalf of a request.
func (r *recording) ask(tb testing.TB, who *core.Subject, access core.Access, request string) core.Decision {
	tb.Helper()
	access.Request = request
	d, err := r.Authorize(tb.Context(), who, access)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// find returns all records that a filter selects, newest first.
func (r *recording) find(tb testing.TB, f wire.DecisionFilter) []wire.Decision {
	tb.Helper()
	var all []wire.Decision
	for {
		page, err := r.records.Query(tb.Context(), f)
		if err != nil {
			tb.Fatal(err)
		}
		if all = append(all, page.Decisions...); page.NextCursor == "" {
			return all
		}
		f.Cursor = page.NextCursor
	}
}

// text is what is in the files.
func (r *recording) text(tb testing.TB) string {
	tb.Helper()
	if err := r.records.Flush(); err != nil {
		tb.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(r.dir, observability.DecisionFile))
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

func user(name string) *core.Subject { return &core.Subject{Username: name} }

func hiding(a core.Access) core.Access {
	a.Hides, a.Operation = true, "list"
	return a
}

func TestDenialIsRecordedWithAllThatLedToIt(t *testing.T) {
	r := record(t, Set{}, RecordOptions{})
	access := ask(core.ActionWrite, lists("read: ann; write: bob service:*"), around("*", "read: *", "app", "write: carl"))
	access.Operation, access.Changes = "put", core.ChangesValue|core.ChangesTTL
	d := r.ask(t, user("ann"), access, "r1")
	got := r.find(t, wire.DecisionFilter{RequestID: "r1"})
	if len(got) != 1 {
		t.Fatalf("%d records, want 1", len(got))
	}
	g := got[0]
	want := wire.Decision{
		ID: g.ID, Time: access.Time.UTC(), Count: 1, Principal: "ann", Action: "write", Kind: "key", Key: "app.ui.theme", Environment: "default", Operation: "put",
		Rule: d.Rule, Reason: d.Reason, Policy: "shipped", Nanoseconds: g.Nanoseconds, Address: "192.0.2.7", RequestIDs: []string{"r1"}, Input: g.Input,
	}
	if fmt.Sprint(g) != fmt.Sprint(want) || g.ID == "" || g.Nanoseconds <= 0 || d.Rule != "no-write" {
		t.Errorf("got %+v, want %+v", g, want)
	}
	const input = `{"subject":{"username":"ann","claims":{}},"action":"write","environment":"default","resource":{"kind":"key","key":"app.ui.theme",` +
		`"namespaces":["app","app.ui"],"exists":true,"acls":{"read":{"any":false,"names":{"ann":true},"prefixes":[]},` +
		`"write":{"any":false,"names":{"bob":true},"prefixes":["service:"]}},"namespace_acls":[{"namespace":"*","acls":{"read":{"any":true,"names":{},"prefixes":[]}}},` +
		`{"namespace":"app","acls":{"write":{"any":false,"names":{"carl":true},"prefixes":[]}}}]},` +
		`"request":{"operation":"put","changes":["value","ttl"],"time":"2023-11-14T22:13:20.123456Z","address":"192.0.2.7"}}`
	if string(g.Input) != input {
		t.Errorf("input is %s, want %s", g.Input, input)
	}
}

func TestEqualDenialsAreOneRecordThatNamesEveryRequest(t *testing.T) {
	r := record(t, Set{}, RecordOptions{})
	access := ask(core.ActionRead, nil, nil)
	for n := range 3*recordIDs + 5 {
		r.ask(t, user("ann"), access, strconv.Itoa(n))
		r.ask(t, user("ann"), access, strconv.Itoa(n)) // asked again on behalf of the same request
	}
	other := access
	other.Key = "app.other"
	r.ask(t, user("ann"), other, "other")
	r.ask(t, user("bob"), access, "bob")
	total := int64(0)
	got := r.find(t, wire.DecisionFilter{Principal: "ann", Key: "app.ui.theme"})
	for _, d := range got {
		total += d.Count
	}
	if len(got) != 4 || total != 2*(3*recordIDs+5) {
		t.Errorf("%d records of %d decisions, want 4 of %d", len(got), total, 2*(3*recordIDs+5))
	}
	for n := range 3*recordIDs + 5 {
		if got := r.find(t, wire.DecisionFilter{RequestID: strconv.Itoa(n)}); len(got) != 1 || got[0].Principal != "ann" {
			t.Fatalf("request %d has %d records, want 1", n, len(got))
		}
	}
	if got := r.find(t, wire.DecisionFilter{}); len(got) != 6 {
		t.Errorf("%d records in all, want 6", len(got))
	}
}

func TestCountsAddUpUnderConcurrency(t *testing.T) {
	for name, set := range map[string]Set{
		"answers that are kept":     {},
		"answers that are not kept": module(`decision := {"allow": false, "rule": "no", "reason": input.request.time}`),
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t, set, RecordOptions{})
			const workers, each = 8, 400
			var working sync.WaitGroup
			for w := range workers {
				working.Go(func() {
					for n := range each {
						access := ask(core.ActionRead, nil, nil)
						if n%2 == 0 {
							access = hiding(access)
							access.Key = "app.k" + strconv.Itoa(n)
						}
						access.Request = fmt.Sprint(w, "-", n)
						if _, err := r.Authorize(t.Context(), user("user"+strconv.Itoa(n%3)), access); err != nil {
							t.Error(err)
						}
						if n%50 == w {
							_ = r.records.Flush()
						}
					}
				})
			}
			working.Wait()
			direct, hidden, named := int64(0), int64(0), map[string]bool{}
			if err := r.records.Each(t.Context(), time.Time{}, time.Time{}, func(d wire.Decision) error {
				if d.Operation == "list" {
					hidden += d.Count
					return nil
				}
				direct += d.Count
				for _, id := range d.RequestIDs {
					named[id] = true
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if half := int64(workers * each / 2); direct != half || hidden != half || len(named) != int(half) || r.log.Stats().Lost != 0 {
				t.Errorf("recorded %d that refuse in %d requests and %d that hide, want %d each; %+v", direct, len(named), hidden, half, r.log.Stats())
			}
		})
	}
}

func TestWhatALongListLeavesOutIsCountedByInputAndBounded(t *testing.T) {
	r := record(t, Set{}, RecordOptions{})
	for n := range 500 {
		access := hiding(ask(core.ActionRead, lists("read: user"+strconv.Itoa(n%50)), nil))
		access.Key = "app.k" + strconv.Itoa(n)
		r.ask(t, user("ann"), access, "r")
	}
	got := r.find(t, wire.DecisionFilter{Principal: "ann"})
	var mixed []int64
	for _, d := range got {
		if d.Incomplete {
			mixed = append(mixed, d.Count)
		} else if d.Count != 10 {
			t.Errorf("one input has %d decisions, want 10", d.Count)
		}
	}
	if len(got) != recordInputs+1 || !slices.Equal(mixed, []int64{10 * (50 - recordInputs)}) {
		t.Errorf("%d records, of which some stand for unlike ones: %v", len(got), mixed)
	}
}

func TestAllowedAccessesAreRecordedAsConfigured(t *testing.T) {
	const n = 4000
	for _, allows := range []float64{0, 0.25, 1} {
		r := record(t, Set{}, RecordOptions{Allows: allows})
		access := ask(core.ActionRead, lists("read: ann"), nil)
		for i := range n / 2 {
			r.ask(t, user("ann"), access, strconv.Itoa(i))
			r.ask(t, user("ann"), hiding(access), strconv.Itoa(i))
		}
		r.ask(t, user("bob"), access, "bob")
		total := int64(0)
		for _, d := range r.find(t, wire.DecisionFilter{Allow: new(true)}) {
			total += d.Count
			if d.Rule != "key-read" || d.Grant == nil || d.Grant.Entry != "ann" || len(d.RequestIDs) > recordIDs {
				t.Errorf("got %+v", d)
			}
		}
		if off := math.Abs(float64(total) - allows*n); off > 6*math.Sqrt(n*allows*(1-allows)) {
			t.Errorf("with a share of %v, %d of %d are recorded", allows, total, n)
		}
		if got := r.find(t, wire.DecisionFilter{Allow: new(false)}); len(got) != 1 {
			t.Errorf("with a share of %v, %d denials are recorded, want 1", allows, len(got))
		}
	}
}

func TestWhatNobodyAskedIsNotRecorded(t *testing.T) {
	r := record(t, Set{}, RecordOptions{Allows: 1})
	access := ask(core.ActionRead, nil, nil)
	access.Supposed = true
	r.ask(t, user("ann"), access, "r")
	r.ask(t, user("ann"), hiding(access), "r")
	if got := r.find(t, wire.DecisionFilter{}); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestRecordNamesThePolicyThatDecided(t *testing.T) {
	r := record(t, Set{}, RecordOptions{})
	deny := module(`decision := {"allow": false, "rule": "mine", "reason": "Mine"}`)
	for i, revision := range []string{"", "e:1", "e:2", "e:3"} {
		if i > 0 {
			deny.Modules["authz.rego"] += "\n"
			if deny.Revision = revision; i == 3 {
				deny.Revision = ""
			}
			if err := r.Load(t.Context(), deny); err != nil {
				t.Fatal(err)
			}
		}
		r.ask(t, user("ann"), ask(core.ActionRead, nil, nil), strconv.Itoa(i))
	}
	var named []string
	for _, d := range r.find(t, wire.DecisionFilter{}) {
		named = append(named, d.Policy+" "+d.Rule)
	}
	if len(named) != 4 || named[3] != "shipped no-read" || named[2] != "e:1 mine" || named[1] != "e:2 mine" || len(named[0]) != len("0123456789abcdef mine") {
		t.Errorf("named are %q", named)
	}
}

func TestClaimsThatThePolicyDoesNotReadAreNotRecorded(t *testing.T) {
	who := &core.Subject{Username: "ann", Claims: map[string]any{
		"team": "blue<&>", "level": json.Number("9007199254740993"), "secret": "pLanted", "email": "pLanted@example.com",
	}}
	for body, claims := range map[string]string{
		`decision := {"allow": false, "rule": "none"}`:                                                                              `{}`,
		`decision := {"allow": input.subject.claims.team == "x"}`:                                                                   `{"team":"blue<&>"}`,
		"decision := {\"allow\": input.subject.claims.level == input.subject.claims.team.absent}":                                   ``,
		`decision := {"allow": input.subject.claims.level.deep == input.subject.claims.absent, "rule": input.subject.claims.team} `: ``,
		`decision := {"allow": to_number(input.subject.claims.team) == 1}`:                                                          `{"team":"blue<&>"}`, // fails, and may not quote
	} {
		for _, access := range []core.Access{ask(core.ActionRead, nil, nil), hiding(ask(core.ActionRead, nil, nil))} {
			r := record(t, module(body), RecordOptions{})
			r.ask(t, who, access, "r")
			text := r.text(t)
			got := r.find(t, wire.DecisionFilter{Principal: "ann"})
			if strings.Contains(text, "pLanted") || len(got) != 1 {
				t.Fatalf("%s: %d records, the file holds %s", body, len(got), text)
			}
			if claims != "" && !strings.Contains(string(got[0].Input), `"claims":`+claims+`}`) {
				t.Errorf("%s: input is %s, want the claims %s", body, got[0].Input, claims)
			}
			if got[0].Rule == RuleError && strings.Contains(got[0].Reason, "blue") {
				t.Errorf("%s: the reason is %s", body, got[0].Reason)
			}
		}
	}
}

func TestPolicyErrorIsRecordedWithItsCause(t *testing.T) {
	r := record(t, module(`decision := {"allow": 1}`), RecordOptions{})
	d := r.ask(t, user("ann"), ask(core.ActionRead, nil, nil), "r")
	got := r.find(t, wire.DecisionFilter{RequestID: "r"})
	if len(got) != 1 || got[0].Rule != RuleError || !strings.HasPrefix(got[0].Reason, d.Reason+": ") || !strings.Contains(got[0].Reason, "true or false") {
		t.Errorf("got %+v after %+v", got, d)
	}
}

func TestDecisionsPastTheRoomAreCountedAndTheLogSaysSo(t *testing.T) {
	r := record(t, Set{}, RecordOptions{Most: 10})
	for n := range 25 {
		access := ask(core.ActionRead, nil, nil)
		access.Key = "app.k" + strconv.Itoa(n)
		r.ask(t, user("ann"), access, strconv.Itoa(n))
		for range 3 {
			r.ask(t, user("bob"+strconv.Itoa(n)), hiding(access), strconv.Itoa(n))
		}
	}
	total, lost := int64(0), int64(0)
	for _, d := range r.find(t, wire.DecisionFilter{}) {
		if d.Rule == RuleLost {
			lost += d.Count
			if !d.Incomplete || d.Allow {
				t.Errorf("the loss is %+v", d)
			}
		} else {
			total += d.Count
		}
	}
	if total != 5*4 || lost != 20*4 || r.log.Stats().Lost != 20*4 || r.log.Health() != core.Degraded {
		t.Errorf("%d recorded, %d lost, %+v, %s", total, lost, r.log.Stats(), r.log.Health())
	}
}

func TestLongListsAreLeftOutAndNamed(t *testing.T) {
	var many []string
	for n := range 9000 {
		many = append(many, fmt.Sprintf("user%05d-%s", n, strings.Repeat("x", 15)))
	}
	r := record(t, Set{}, RecordOptions{})
	long := core.Intern(&core.ACL{Read: []string{"bob"}, Write: many})
	r.ask(t, user("ann"), ask(core.ActionRead, long, core.InternChain([]core.Link{{Namespace: "app", Rules: core.Intern(&core.ACL{Admin: many[:5000]})}})), "r")
	text := r.text(t)
	if len(text) > maxRecordedInput+2000 || !strings.Contains(text, `"erased":["/input/resource/acls/write","/input/resource/namespace_acls/0/acls/admin"]`) {
		t.Errorf("%d bytes: %.3000s", len(text), text)
	}
	if got := r.find(t, wire.DecisionFilter{}); len(got) != 1 || !got[0].Incomplete || !strings.Contains(string(got[0].Input), `"acls":{"read":{"any":false,"names":{"bob":true}`) {
		t.Errorf("got %+v", got)
	}
}

// TestRecordedInputLeadsToTheSameDecision is what a replay relies on.
func TestRecordedInputLeadsToTheSameDecision(t *testing.T) {
	sets := []Set{{}, module(`decision := {"allow": false, "rule": sprintf("%v %v %v", [input.subject.claims.level, input.request, input.resource.namespaces])}`)}
	for _, set := range sets {
		r := record(t, set, RecordOptions{Allows: 1})
		p := program(t, set)
		who := &core.Subject{Username: "service:pay", Claims: map[string]any{"level": json.Number("9007199254740993"), "other": true}}
		for i, action := range []core.Action{core.ActionRead, core.ActionWrite, core.ActionDelete, core.ActionAdmin, core.ActionList} {
			access := ask(action, lists("read: service:* ann; write:"), around("*", "admin: service:pa*", "app", "write: *"))
			access.Changes = core.ChangesACLs
			want := r.ask(t, who, access, strconv.Itoa(i))
			d := r.find(t, wire.DecisionFilter{RequestID: strconv.Itoa(i)})[0]
			got, err := p.Decide(t.Context(), d.Input, time.Time{})
			if err != nil || got.Allow != want.Allow || got.Rule != want.Rule || got.Reason != want.Reason {
				t.Errorf("%s: got %+v, %v, want %+v", action, got, err, want)
			}
		}
	}
}

func TestLinesAreEventsOfOPAsDecisionLogs(t *testing.T) {
	r := record(t, Set{}, RecordOptions{Allows: 1, Labels: map[string]string{"app": "dynconfig"}})
	r.ask(t, user("ann"), ask(core.ActionRead, lists("read: ann"), nil), "r1")
	r.ask(t, user("bob"), ask(core.ActionRead, nil, nil), "r2")
	r.ask(t, user("bob"), ask(core.ActionRead, nil, nil), "r3")
	r.log.Lose(3)
	for i, text := range strings.Split(strings.TrimSpace(r.text(t)), "\n") {
		var e logs.EventV1
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatal(err)
		}
		if _, err := e.AST(); err != nil { // what OPA's masks and drops look at
			t.Error(err)
		}
		if e.DecisionID == "" || e.Timestamp.IsZero() || e.Path != "dynconfig/authz/decision" || e.Result == nil {
			t.Errorf("%d: got %+v", i, e)
		}
		if i == 2 {
			continue // the loss
		}
		result := (*e.Result).(map[string]any)
		input := (*e.Input).(map[string]any)
		_, timed := e.Metrics["timer_rego_query_eval_ns"]
		if e.Labels["app"] != "dynconfig" || e.Bundles["dynconfig"].Revision != "shipped" || result["allow"] != (i == 0) || input["action"] != "read" ||
			e.RequestedBy != "192.0.2.7" || !timed || e.Custom["count"] != float64(1+i) || e.Custom["operation"] != "get" || e.Custom["rule"] != result["rule"] {
			t.Errorf("%d: got %+v", i, e)
		}
	}
}

func TestRecordsAreInTheFileWithinASecondAndAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	a := open(t, Set{})
	synctest.Test(t, func(t *testing.T) {
		log, err := observability.OpenDecisionLog(dir, observability.DecisionLogOptions{})
		if err != nil {
			t.Fatal(err)
		}
		r := &recording{Authorizer: a, records: NewRecords(log, RecordOptions{}), log: log, dir: dir}
		a.Record(r.records)
		done := make(chan error)
		ctx, stop := context.WithCancel(t.Context())
		go func() { done <- r.records.Run(ctx) }()
		for n := range 3 {
			r.ask(t, user("ann"), ask(core.ActionRead, nil, nil), strconv.Itoa(n))
			time.Sleep(recordEvery)
			synctest.Wait()
			if log.Stats().Written != uint64(n+1) {
				t.Errorf("after %d s: %+v", n+1, log.Stats())
			}
		}
		r.ask(t, user("ann"), ask(core.ActionRead, nil, nil), "last")
		stop()
		if err := <-done; err != nil || log.Stats().Written != 4 {
			t.Errorf("at the end: %v, %+v", err, log.Stats())
		}
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
}
