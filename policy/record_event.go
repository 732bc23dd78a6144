package policy

import (
	"crypto/rand"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// event is a line of the log: an event of OPA's decision logs, version 1. The time stands before anything that others have
// written.
type event struct {
	ID          string            `json:"decision_id"`
	Time        time.Time         `json:"timestamp"`
	Labels      map[string]string `json:"labels"`
	Bundles     map[string]bundle `json:"bundles,omitempty"`
	Path        string            `json:"path"`
	Input       json.RawMessage   `json:"input,omitempty"`
	Result      eventResult       `json:"result"`
	Erased      []string          `json:"erased,omitempty"` // JSON pointers to what is too long
	RequestedBy string            `json:"requested_by,omitempty"`
	Metrics     map[string]int64  `json:"metrics,omitempty"`
	Custom      custom            `json:"custom"`
}

type bundle struct {
	Revision string `json:"revision"`
}

type eventResult struct {
	Allow  bool       `json:"allow"`
	Rule   string     `json:"rule"`
	Reason string     `json:"reason,omitempty"`
	Grant  *wire.Line `json:"grant,omitempty"`
}

// custom is what OPA's events have no place for.
type custom struct {
	Count     int64      `json:"count"`
	Last      *time.Time `json:"last,omitempty"`
	Requests  []string   `json:"requests,omitempty"`
	Operation string     `json:"operation,omitempty"`
	Rule      string     `json:"rule"`
	Cached    bool       `json:"cached,omitempty"`
	Hides     bool       `json:"hides,omitempty"`   // left something out, refused nothing
	Mixed     bool       `json:"mixed,omitempty"`   // stands for unlike inputs, of which it shows the first
	Sampled   float64    `json:"sampled,omitempty"` // the share of such decisions that is recorded, unless that is all
}

const (
	bundleName = "dynconfig"
	evalMetric = "timer_rego_query_eval_ns"
	// RuleLost is the rule of the record that says how many others are missing.
	RuleLost = "lost"
)

func eventPath() string {
	return strings.ReplaceAll(strings.TrimPrefix(decisionPath, "data."), ".", "/")
}

func (r *Records) event(p *pending) event {
	e := event{
		ID: rand.Text(), Time: p.ask.Time.UTC(), Labels: r.labels, Bundles: map[string]bundle{bundleName: {p.revision}}, Path: eventPath(),
		Result:      eventResult{Allow: p.decision.Allow, Rule: p.decision.Rule, Reason: p.decision.Reason},
		RequestedBy: p.ask.Address,
		Custom: custom{
			Count: p.n, Requests: p.requests, Operation: p.ask.Operation, Rule: p.decision.Rule, Cached: p.cached, Hides: p.ask.Hides, Mixed: p.mixed,
		},
	}
	e.Input, e.Erased = p.input()
	if g := p.decision.Grant; g != nil {
		e.Result.Grant = &wire.Line{Source: g.Source, Name: g.Name, List: g.List, Entry: g.Entry}
	}
	if !p.cached {
		e.Metrics = map[string]int64{evalMetric: p.took.Nanoseconds()}
	}
	if last := p.last.UTC(); p.n > 1 && last.After(e.Time) {
		e.Custom.Last = &last
	}
	if p.decision.Allow && r.allows < 1 {
		e.Custom.Sampled = r.allows
	}
	return e
}

// LostRecord is the line that says that n records are missing before it.
func LostRecord(n uint64, at time.Time) []byte {
	return asJSON(event{
		ID: rand.Text(), Time: at.UTC(), Path: eventPath(),
		Result: eventResult{Rule: RuleLost, Reason: strconv.FormatUint(n, 10) + " records were lost"},
		Custom: custom{Count: int64(n), Rule: RuleLost},
	})
}

// recordOf reads a line.
func recordOf(line []byte) (wire.Decision, error) {
	var e event
	var in recordedInput
	if err := json.Unmarshal(line, &e); err != nil {
		return wire.Decision{}, err
	}
	d := wire.Decision{
		ID: e.ID, Time: e.Time, Count: e.Custom.Count, Operation: e.Custom.Operation, Allow: e.Result.Allow, Rule: e.Result.Rule, Reason: e.Result.Reason,
		Grant: e.Result.Grant, Policy: e.Bundles[bundleName].Revision, Cached: e.Custom.Cached, Nanoseconds: e.Metrics[evalMetric],
		Address: e.RequestedBy, RequestIDs: e.Custom.Requests, Input: e.Input,
		Incomplete: e.Custom.Mixed || len(e.Erased) > 0 || e.Input == nil,
	}
	if e.Custom.Last != nil {
		d.Last = *e.Custom.Last
	}
	if e.Input == nil { // a loss
		d.Principal, d.Kind = "dynconfig", string(core.KindPolicy)
		return d, nil
	}
	err := json.Unmarshal(e.Input, &in)
	d.Principal, d.Action, d.Environment = in.Subject.Username, string(in.Action), in.Environment
	d.Kind, d.Key = string(in.Resource.Kind), in.Resource.Key
	return d, err
}
