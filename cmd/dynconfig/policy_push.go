package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy/source"
)

func policyPushCommand() *cobra.Command {
	var n connection
	var o client.PutPolicyOptions
	var note, confirm string
	c := &cobra.Command{
		Use: "push DIR", Short: "Put the policy of a directory in force", Args: arguments(1, "a DIR"), ValidArgsFunction: directories,
		Long: `Put the policy of a directory in force: its .rego files, and data.json or data.yaml. The server refuses a set that does not
compile, whose tests fail, or that would lock you or its admins out; then what is in force stays.

With --confirm the set makes room for the one before unless "dynconfig policy confirm" is run in time.`,
		Example: `  dynconfig policy push ./policy --dry-run
  dynconfig policy push ./policy --confirm 5m --note 'freeze of the release'`,
		RunE: func(c *cobra.Command, args []string) error {
			format, err := n.format("table")
			if err != nil {
				return err
			}
			if confirm != "" {
				if o.Confirm, err = parseDuration(confirm); err != nil || o.Confirm <= 0 {
					return usageError{fmt.Errorf("--confirm is %q: it must be a number of seconds or a duration such as 5m", confirm)}
				}
			}
			set, err := readPolicy(args[0])
			if err != nil {
				return err
			}
			set.Note = note
			cl, err := n.client()
			if err != nil {
				return err
			}
			state, err := cl.PutPolicy(c.Context(), set, o)
			if err != nil {
				return told(c.ErrOrStderr(), err)
			}
			return printed(c.OutOrStdout(), format, state, func(row func(...string)) { policyRows(state, row) })
		},
	}
	n.addFlags(c)
	c.Flags().BoolVar(&o.DryRun, "dry-run", false, "check it, and put nothing in force")
	c.Flags().StringVar(&confirm, "confirm", "", "revert unless it is confirmed within so long, such as 5m")
	c.Flags().StringVar(&o.IfRevision, "if-revision", "", "only if this revision is in force")
	c.Flags().StringVar(&note, "note", "", "why, for the history")
	mayBeEmpty(c.Flags(), "note")
	return c
}

// directories completes the name of one.
func directories(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// readPolicy reads a directory as a server is sent it.
func readPolicy(dir string) (client.PolicySet, error) {
	set, err := source.ReadDir(dir)
	if err != nil {
		return client.PolicySet{}, err
	}
	sent := client.PolicySet{Modules: set.Modules}
	if len(set.Data) > 0 {
		if sent.Data, err = json.Marshal(set.Data); err != nil {
			return client.PolicySet{}, failf("The data of %s cannot be written as JSON", dir)
		}
	}
	return sent, nil
}

// told prints what is wrong with each part of a policy on a line of its own and returns the rest of the error.
func told(out io.Writer, err error) error {
	var e *core.Error
	if !errors.As(err, &e) || len(e.Fields) < 2 {
		return err
	}
	for _, f := range e.Fields {
		fmt.Fprintf(out, "%s: %s\n", f.Path, f.Reason)
	}
	return core.Errorf(e.Kind, "%s", e.Detail)
}

// confirmHint is what to do about a policy that waits to be confirmed.
func confirmHint(s client.PolicyState) string {
	return fmt.Sprintf("by %s, else the one before comes back: dynconfig policy confirm", s.ConfirmBy.Local().Format(time.RFC3339))
}
