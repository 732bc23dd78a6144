package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/client"
)

func policyReplayCommand() *cobra.Command {
	var n connection
	var revision, since, until string
	c := &cobra.Command{
		Use: "replay [DIR]", Short: "Ask a draft what was asked before, and list what would change", Args: upTo(1, "a DIR or --revision"), ValidArgsFunction: directories,
		Long: `Take the recorded decisions of a period to the policy of a directory, or to a stored one, and list those that it would answer
differently. Nothing is put in force. A time is such as 2026-03-01T12:00:00Z, or how long ago: 90m.`,
		Example: `  dynconfig policy replay ./policy --since 24h
  dynconfig policy replay --revision k3v9x2p7:418 --since 2026-03-01T12:00:00Z --until 2026-03-01T14:00:00Z`,
		RunE: func(c *cobra.Command, args []string) (err error) {
			format, err := n.format("table")
			if err != nil {
				return err
			}
			if (len(args) == 1) == (revision != "") {
				return usageError{errors.New("dynconfig policy replay takes a DIR or --revision")}
			}
			r := client.ReplayRequest{Revision: revision}
			if r.Since, err = moment("since", since); err != nil {
				return err
			}
			if r.Until, err = moment("until", until); err != nil {
				return err
			}
			if revision == "" {
				if r.PolicySet, err = readPolicy(args[0]); err != nil {
					return err
				}
			}
			cl, err := n.client()
			if err != nil {
				return err
			}
			changes, err := cl.ReplayPolicy(c.Context(), r)
			if err != nil {
				return told(c.ErrOrStderr(), err)
			}
			return printed(c.OutOrStdout(), format, changes, func(row func(...string)) { replayRows(changes, row) })
		},
	}
	n.addFlags(c)
	c.Flags().StringVar(&revision, "revision", "", "a stored policy, instead of a DIR")
	c.Flags().StringVar(&since, "since", "1h", "decisions from then on")
	c.Flags().StringVar(&until, "until", "", "decisions before then; now, if it is not given")
	return c
}

// moment reads the time that a flag names, or how long ago; "" is none.
func moment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := parseDuration(text); err == nil && ago >= 0 {
		return time.Now().Add(-ago), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, usageError{fmt.Errorf("--%s is %q: it must be a time such as 2026-03-01T12:00:00Z, or how long ago, such as 90m", flag, text)}
	}
	return t, nil
}

func replayRows(r client.Replayed, row func(...string)) {
	row(fmt.Sprintf("%d of %d decisions would change", r.Changed, r.Decisions))
	for _, w := range r.Warnings {
		row("warning: " + w)
	}
	if len(r.Changes) > 0 {
		row("")
		row("COUNT", "PRINCIPAL", "ACTION", "KIND", "KEY", "ENV", "WAS", "WOULD BE")
	}
	for _, c := range r.Changes {
		row(strconv.FormatInt(c.Count, 10), c.Principal, c.Action, c.Kind, c.Key, c.Environment, verdict(c.Allowed)+" "+c.Rule, verdict(c.Allows)+" "+c.NewRule)
	}
	if r.Truncated {
		row("and more")
	}
}

func verdict(allow bool) string {
	if allow {
		return "allowed"
	}
	return "denied"
}
