package policy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// Bounds of a replay.
const (
	MaxReplayed      = 100_000 // records
	maxReplayGroups  = 10_000  // of changes that are counted,
	maxReplayChanges = 1000    // and of those that are returned
)

// ReplayOptions say how much to replay. Its zero value is all that fits.
type ReplayOptions struct {
	Records int       // at most; 0: MaxReplayed
	Until   time.Time // stop then, with what there is; zero: when the records end
}

// Replay asks a program again what was recorded, with the recorded input and time, and groups the answers that are no longer
// the same: allowed where it was denied, or denied where it was allowed. An error means that ctx ended or that the records
// could not be read.
func Replay(ctx context.Context, p *Program, records iter.Seq2[wire.Decision, error], o ReplayOptions) (wire.Replayed, error) {
	if o.Records == 0 {
		o.Records = MaxReplayed
	}
	r := replay{program: p, groups: map[wire.ReplayChange]int64{}, claims: map[string]bool{}}
	read := 0
	for record, err := range records {
		if err != nil {
			return wire.Replayed{}, err
		}
		if read == o.Records || !o.Until.IsZero() && time.Now().After(o.Until) {
			r.truncated = true
			break
		}
		read++
		if err := r.ask(ctx, &record); err != nil {
			return wire.Replayed{}, err
		}
	}
	return r.result(), nil
}

// replay is one under way.
type replay struct {
	program   *Program
	decisions int64
	changed   int64
	groups    map[wire.ReplayChange]int64 // by themselves, with no count
	claims    map[string]bool             // of those that the draft reads, the ones that any input has
	truncated bool

	allowed, merged, incomplete, lost, failed int64
}

func (r *replay) ask(ctx context.Context, record *wire.Decision) error {
	count := max(record.Count, 1)
	switch {
	case record.Rule == RuleLost:
		r.lost += count
		return nil
	case record.Incomplete:
		r.incomplete += count
		return nil
	}
	d, err := r.program.Decide(ctx, record.Input, record.Time)
	switch {
	case errors.Is(err, core.ErrMalformed):
		r.incomplete += count
		return nil
	case err != nil:
		return err
	}
	r.decisions += count
	r.look(record)
	if d.Rule == RuleError {
		r.failed += count
	}
	if d.Allow == record.Allow {
		return nil
	}
	r.changed += count
	group := wire.ReplayChange{
		Principal: record.Principal, Action: record.Action, Kind: record.Kind, Key: record.Key, Environment: record.Environment,
		Allowed: record.Allow, Allows: d.Allow, Rule: record.Rule, NewRule: d.Rule,
	}
	if _, known := r.groups[group]; !known && len(r.groups) == maxReplayGroups {
		r.truncated = true
		return nil
	}
	r.groups[group] += count
	return nil
}

// look notes what there is of a record for the draft to see.
func (r *replay) look(record *wire.Decision) {
	if record.Allow {
		r.allowed++
	}
	if record.Count > 1 {
		r.merged++
	}
	read, _ := r.program.Claims()
	if len(read) == 0 {
		return
	}
	var input struct {
		Subject struct {
			Claims map[string]json.RawMessage `json:"claims"`
		} `json:"subject"`
	}
	if json.Unmarshal(record.Input, &input) != nil {
		return
	}
	for _, claim := range read {
		if _, has := input.Subject.Claims[claim]; has {
			r.claims[claim] = true
		}
	}
}

func (r *replay) result() wire.Replayed {
	changes := make([]wire.ReplayChange, 0, min(len(r.groups), maxReplayChanges))
	sorted := slices.SortedFunc(maps.Keys(r.groups), func(a, b wire.ReplayChange) int {
		return cmp.Or(cmp.Compare(r.groups[b], r.groups[a]), cmp.Compare(a.Principal, b.Principal), cmp.Compare(a.Environment, b.Environment),
			cmp.Compare(a.Key, b.Key), cmp.Compare(a.Action, b.Action), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.NewRule, b.NewRule))
	})
	for _, group := range sorted[:min(len(sorted), maxReplayChanges)] {
		count := r.groups[group]
		group.Count = count
		changes = append(changes, group)
	}
	return wire.Replayed{
		Decisions: r.decisions, Changed: r.changed, Changes: changes, Truncated: r.truncated || len(sorted) > maxReplayChanges,
		Warnings: r.warnings(),
	}
}

// warnings say what a replay of these records could not show.
func (r *replay) warnings() []string {
	warnings := []string{}
	say := func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }
	read, all := r.program.Claims()
	var missing []string
	for _, claim := range read {
		if !r.claims[claim] {
			missing = append(missing, claim)
		}
	}
	switch {
	case r.decisions == 0:
		say("No decision of that period is recorded.")
	case r.allowed == 0:
		say("Denials alone are recorded: what the draft would deny that is allowed today cannot be seen.")
	}
	if len(missing) > 0 && r.decisions > 0 {
		say("The draft reads claims that no recorded input has: %s. Only those are recorded that the policy read at the time.", strings.Join(missing, ", "))
	}
	if all {
		say("The draft reads all claims. Only those are recorded that the policy read at the time.")
	}
	if r.merged > 0 && (r.program.ReadsKey() || r.program.ReadsRequest()) {
		say("%d records stand for several decisions each: all are replayed as the first, with its key, request and time.", r.merged)
	}
	if r.failed > 0 {
		say("The draft failed to decide %d decisions, which denies them.", r.failed)
	}
	if r.incomplete > 0 {
		say("%d decisions are not recorded as a whole and were left out.", r.incomplete)
	}
	if r.lost > 0 {
		say("%d decisions of that period were not recorded: there were too many at a time.", r.lost)
	}
	return warnings
}
