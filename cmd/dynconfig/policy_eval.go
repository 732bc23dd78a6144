package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/wire"
)

// evaluated is what a policy answers an input.
type evaluated struct {
	Allow  bool       `json:"allow"`
	Rule   string     `json:"rule"`
	Reason string     `json:"reason"`
	Grant  *wire.Line `json:"grant,omitempty"`
}

func policyEvalCommand() *cobra.Command {
	var l localPolicy
	var input string
	var fail bool
	c := &cobra.Command{
		Use: "eval DIR --input FILE", Short: "Ask a policy about an input, without a server", Args: arguments(1, "a DIR"), ValidArgsFunction: directories,
		Long: `Ask the policy of a directory about an input, a file as schemas/input.json describes it or - for the standard input: as
"dynconfig policy explain" shows it, or as a decision is recorded. The time is the input's, or now. What an input leaves out
is not there for the policy.

The exit code is 0 whatever the answer, unless --fail is given: then it is 1 for all that is not allowed. (4 is for what a
server denies.)`,
		Example: `  dynconfig policy eval ./policy --input question.json
  dynconfig policy explain read app.ui.theme -o json | jq .input | dynconfig policy eval ./policy --input - --fail`,
		RunE: func(c *cobra.Command, args []string) error {
			format, err := l.format("json")
			if err != nil {
				return err
			}
			if input == "" {
				return usageError{fmt.Errorf("%s takes --input FILE", c.CommandPath())}
			}
			text, err := inputText(c.InOrStdin(), input)
			if err != nil {
				return err
			}
			p, err := l.read(c, args[0])
			if err != nil {
				return told(c.ErrOrStderr(), err)
			}
			d, err := p.Decide(c.Context(), text, time.Time{})
			if err != nil {
				return err
			}
			if err := printed(c.OutOrStdout(), format, evaluatedOf(d), func(row func(...string)) { row(verdict(d.Allow), d.Rule, d.Reason) }); err != nil {
				return err
			}
			if fail && !d.Allow {
				return failf("Denied by rule %s", d.Rule)
			}
			return nil
		},
	}
	l.addFlags(c)
	c.Flags().StringVar(&input, "input", "", "file with the input, or -")
	c.Flags().BoolVar(&fail, "fail", false, "exit with 1 unless it is allowed")
	return c
}

func inputText(in io.Reader, file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(in)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fileError(file, err)
	}
	return text, nil
}

func evaluatedOf(d core.Decision) evaluated {
	answer := evaluated{Allow: d.Allow, Rule: d.Rule, Reason: d.Reason}
	if g := d.Grant; g != nil {
		answer.Grant = &wire.Line{Source: g.Source, Name: g.Name, List: g.List, Entry: g.Entry}
	}
	return answer
}
