package policy

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/dynconfig/dynconfig/wire"
)

const maxMessage = 4 << 10

// failures says of a test what came of it. One that failed is run again, if wanted, to find the expression that did not hold
// and the values in it.
func (s *suite) failures(ctx context.Context, r *tester.Result, again bool) []wire.PolicyTestFailure {
	f := wire.PolicyTestFailure{Test: testName(r), Location: place(r.Location)}
	switch {
	case r.Error != nil:
		f.Location, f.Message = errorOf(r)
	case len(r.SubResults) > 0:
		return cases(r, f)
	default:
		f.Message = "it is not true"
		if again {
			f.Location, f.Message = s.lastFail(ctx, r, f)
		}
	}
	if out := strings.TrimSpace(string(r.Output)); out != "" {
		f.Message += "\n" + out
	}
	f.Message = cut(f.Message)
	return []wire.PolicyTestFailure{f}
}

// cases is a failure for each case of a table that failed.
func cases(r *tester.Result, f wire.PolicyTestFailure) []wire.PolicyTestFailure {
	var all []wire.PolicyTestFailure
	for path, sub := range r.SubResults.Iter {
		if sub.Fail && len(sub.SubResults) == 0 {
			one := f
			one.Test += "/" + strings.Join(path, "/")
			one.Message = "the case is not true"
			all = append(all, one)
		}
	}
	return all
}

func errorOf(r *tester.Result) (location, message string) {
	var e *topdown.Error
	switch {
	case topdown.IsCancel(r.Error) || errors.Is(r.Error, context.DeadlineExceeded):
		return place(r.Location), "it took too long and was ended"
	case errors.As(r.Error, &e) && e.Location != nil && e.Location.File != "":
		return place(e.Location), e.Message
	}
	return place(r.Location), r.Error.Error()
}

func (s *suite) lastFail(ctx context.Context, r *tester.Result, f wire.PolicyTestFailure) (location, message string) {
	last := &lastFail{}
	only := "^" + regexp.QuoteMeta(r.Package+"."+r.Name) + "$"
	if _, err := s.run(ctx, s.runner(only).SetCoverageQueryTracer(last).SetCoverageRuns(nil)); err != nil || last.event == nil {
		return f.Location, f.Message
	}
	var text bytes.Buffer
	if err := topdown.PrettyEvent(&text, last.event, topdown.PrettyEventOpts{PrettyVars: true}); err != nil || text.Len() == 0 {
		return f.Location, f.Message
	}
	return place(last.event.Location), "this does not hold:\n" + dedent(text.String())
}

// lastFail keeps the last expression that did not hold: the outermost, that of the test itself.
type lastFail struct{ event *topdown.Event }

func (*lastFail) Enabled() bool { return true }

func (*lastFail) Config() topdown.TraceConfig { return topdown.TraceConfig{PlugLocalVars: true} }

func (l *lastFail) TraceEvent(e topdown.Event) {
	if e.Op != topdown.FailOp || e.Location == nil || e.QueryID == 0 {
		return
	}
	if expr, ok := e.Node.(*ast.Expr); ok {
		if _, every := expr.Terms.(*ast.Every); !every { // what failed inside it says more
			l.event = &e
		}
	}
}

// dedent takes away what all lines begin with.
func dedent(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	margin := lines[0][:len(lines[0])-len(strings.TrimLeft(lines[0], " \t"))]
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, margin)
	}
	return strings.Join(lines, "\n")
}

func cut(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	end := maxMessage
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + " …"
}
