package policy

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/dynconfig/dynconfig/wire"
)

// Sizes of a page of records.
const (
	DefaultDecisions = 100
	MaxDecisions     = 1000
	decisionsBytes   = 4 << 20
)

// Query returns a page of this node's records, newest first. It may be short while there is a cursor. What was decided
// before is in it, unless the log cannot be written.
func (r *Records) Query(ctx context.Context, f wire.DecisionFilter) (wire.Decisions, error) {
	_ = r.Flush() // the journal complains, and what it holds is found later
	if f.Limit <= 0 {
		f.Limit = DefaultDecisions
	}
	f.Limit = min(f.Limit, MaxDecisions)
	page := wire.Decisions{Decisions: []wire.Decision{}}
	size, parts := 0, needles(&f)
	next, err := r.journal.Backward(ctx, f.Cursor, f.Since, f.Until, func(line []byte) bool {
		if slices.ContainsFunc(parts, func(part []byte) bool { return !bytes.Contains(line, part) }) {
			return true
		}
		d, err := recordOf(line)
		if err != nil || !selects(&f, &d) { // a line by another hand is passed over
			return true
		}
		page.Decisions = append(page.Decisions, d)
		size += len(line)
		return len(page.Decisions) < f.Limit && size < decisionsBytes
	})
	page.NextCursor = next
	return page, err
}

// Each calls do for each of this node's records in [since, until), a zero time being no bound, oldest first.
func (r *Records) Each(ctx context.Context, since, until time.Time, do func(wire.Decision) error) error {
	_ = r.Flush()
	return r.journal.Forward(ctx, since, until, func(line []byte) error {
		d, err := recordOf(line)
		if err != nil {
			return nil
		}
		return do(d)
	})
}

// needles are what a line holds that a filter selects: most lines need not be read as JSON.
func needles(f *wire.DecisionFilter) [][]byte {
	var all [][]byte
	for _, n := range []struct{ member, value string }{
		{`"username":`, f.Principal},
		{`"action":`, f.Action},
		{`"kind":`, f.Kind},
		{`"key":`, f.Key},
		{`"environment":`, f.Environment},
		{`"rule":`, f.Rule},
		{"", f.RequestID},
	} {
		if n.value != "" {
			all = append(all, append([]byte(n.member), asJSON(n.value)...))
		}
	}
	return all
}

// selects reports whether a filter selects a record, but for its time.
func selects(f *wire.DecisionFilter, d *wire.Decision) bool {
	for _, part := range [][2]string{
		{f.Principal, d.Principal}, {f.Action, d.Action}, {f.Kind, d.Kind}, {f.Key, d.Key}, {f.Environment, d.Environment}, {f.Rule, d.Rule},
	} {
		if part[0] != "" && part[0] != part[1] {
			return false
		}
	}
	return (f.Allow == nil || *f.Allow == d.Allow) && (f.RequestID == "" || slices.Contains(d.RequestIDs, f.RequestID))
}
