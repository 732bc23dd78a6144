package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/policy/source"
)

func policyTestCommand() *cobra.Command {
	var l localPolicy
	var o policy.TestOptions
	var verbose, coverage bool
	var threshold float64
	c := &cobra.Command{
		Use: "test DIR", Short: "Run a policy's own tests, without a server", Args: arguments(1, "a DIR"), ValidArgsFunction: directories,
		Long: `Run the rules of a directory whose names begin with test_, as "opa test" does, beside the rules that a server always loads and
with the builtins that it has. An error in a builtin fails a test, since it denies on a server.

The exit code is 1 if a test fails, or if less is covered than --threshold percent of the lines of rules.`,
		Example: `  dynconfig policy test ./policy -v
  dynconfig policy test ./policy --coverage --threshold 90
  dynconfig policy test ./policy --run freeze`,
		RunE: func(c *cobra.Command, args []string) error {
			format, err := l.format("table")
			if err != nil {
				return err
			}
			if threshold < 0 || threshold > 100 {
				return usageError{errors.New("--threshold is a percentage")}
			}
			if _, err := regexp.Compile(o.Filter); err != nil {
				return usageError{fmt.Errorf("--run is %q: it must be a regular expression", o.Filter)}
			}
			set, err := source.ReadDir(args[0])
			if err != nil {
				return err
			}
			o.CompileOptions = l.options()
			tested, err := policy.Test(c.Context(), set, o)
			if err != nil {
				return told(c.ErrOrStderr(), err)
			}
			if format == "table" {
				fmt.Fprint(c.OutOrStdout(), testReport(tested, verbose, coverage || c.Flags().Changed("threshold")))
			} else if err := printed(c.OutOrStdout(), format, tested, nil); err != nil {
				return err
			}
			switch {
			case len(tested.Failed) > 0:
				return failf("%d of %d tests failed", len(tested.Failed), len(tested.Failed)+tested.Passed)
			case tested.Coverage < threshold:
				return failf("%v percent of the lines are covered, less than %v", tested.Coverage, threshold)
			}
			return nil
		},
	}
	l.addFlags(c)
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "show every test, and what they print")
	c.Flags().BoolVar(&coverage, "coverage", false, "show which lines were not run")
	c.Flags().Float64Var(&threshold, "threshold", 0, "fail if less percent of the lines are covered")
	c.Flags().StringVar(&o.Filter, "run", "", "only tests whose full name matches this regular expression")
	c.Flags().DurationVar(&o.Timeout, "timeout", 5*time.Second, "of one test")
	return c
}

func testReport(t policy.Tested, verbose, coverage bool) string {
	var b strings.Builder
	if verbose {
		for _, run := range t.Tests {
			fmt.Fprintf(&b, "%s: %s: %s (%v)\n", run.Location, run.Outcome, run.Test, run.Duration.Round(time.Microsecond))
			if run.Output != "" {
				fmt.Fprintf(&b, "%s\n", indent(run.Output))
			}
		}
	}
	for _, f := range t.Failed {
		fmt.Fprintf(&b, "%s: failed: %s\n%s\n", f.Location, f.Test, indent(f.Message))
	}
	fmt.Fprintf(&b, "%d passed, %d failed", t.Passed, len(t.Failed))
	if skipped := t.Skipped(); skipped > 0 {
		fmt.Fprintf(&b, ", %d to do", skipped)
	}
	b.WriteString("\n")
	if !coverage {
		return b.String()
	}
	fmt.Fprintf(&b, "%v percent of the lines covered\n", t.Coverage)
	for _, f := range t.Files {
		for _, lines := range f.NotRun {
			fmt.Fprintf(&b, "%s:%d: not run%s\n", f.File, lines[0], upToLine(lines))
		}
	}
	return b.String()
}

func upToLine(lines [2]int) string {
	if lines[0] == lines[1] {
		return ""
	}
	return fmt.Sprintf(", nor up to line %d", lines[1])
}

func indent(text string) string { return "    " + strings.ReplaceAll(text, "\n", "\n    ") }
