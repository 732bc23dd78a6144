package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/client"
)

func policyDecisionsCommand() *cobra.Command {
	var n connection
	var f client.DecisionFilter
	var since, until string
	var denied, allowed bool
	var limit int
	c := &cobra.Command{
		Use: "decisions", Short: "List what was decided, newest first", Args: arguments(0, ""),
		Long: `List what the server that answers recorded of its decisions, newest first: denials, and as much of the rest as it is set to.
A 403 carries a request id: --request-id finds out why it was one.`,
		Example: `  dynconfig policy decisions --denied --since 1h
  dynconfig policy decisions --request-id 4QZK6M2X7Y5VJ3N8 -o yaml`,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			format, err := n.format("table")
			if err != nil {
				return err
			}
			if denied && allowed || limit < 0 {
				return usageError{errors.New("--denied and --allowed exclude each other, and --limit is not negative")}
			}
			if f.Action != "" && !slices.Contains(actionWords(), f.Action) {
				return usageError{fmt.Errorf("--action is %q: it must be one of %s", f.Action, strings.Join(actionWords(), ", "))}
			}
			if err := knownKind(f.Kind); err != nil {
				return err
			}
			if denied || allowed {
				f.Allow = &allowed
			}
			if f.Since, err = moment("since", since); err != nil {
				return err
			}
			if f.Until, err = moment("until", until); err != nil {
				return err
			}
			cl, err := n.client()
			if err != nil {
				return err
			}
			f.Environment = n.environment
			whole := client.Decisions{Decisions: []client.Decision{}}
			f.Limit = min(max(limit, 1), 1000)
			if limit == 0 {
				f.Limit = 1000
			}
			for d, err := range cl.Decisions(c.Context(), f) {
				if err != nil {
					return err
				}
				if whole.Decisions = append(whole.Decisions, d); len(whole.Decisions) == limit {
					break
				}
			}
			return printed(c.OutOrStdout(), format, whole, func(row func(...string)) { decisionRows(whole.Decisions, row) })
		},
	}
	n.addFlags(c)
	fl := c.Flags()
	fl.StringVar(&f.Principal, "as", "", "who asked")
	fl.StringVar(&f.Action, "action", "", "for what")
	fl.StringVar(&f.Kind, "kind", "", "of which kind of item")
	fl.StringVar(&f.Key, "key", "", "which item")
	fl.StringVar(&f.Rule, "rule", "", "by which rule")
	fl.StringVar(&f.RequestID, "request-id", "", "in which request")
	fl.BoolVar(&denied, "denied", false, "denials only")
	fl.BoolVar(&allowed, "allowed", false, "what was allowed only")
	fl.StringVar(&since, "since", "", "a time, or how long ago, such as 90m")
	fl.StringVar(&until, "until", "", "likewise; before then")
	fl.IntVar(&limit, "limit", 100, "at most so many; 0: all")
	complete(c, "action", actionWords()...)
	complete(c, "kind", kindWords()...)
	return c
}

func decisionRows(list []client.Decision, row func(...string)) {
	row("TIME", "COUNT", "PRINCIPAL", "ACTION", "KIND", "KEY", "ENV", "DECISION", "RULE", "REASON")
	for _, d := range list {
		last := d.Last
		if last.IsZero() {
			last = d.Time
		}
		row(last.Local().Format(time.RFC3339), strconv.FormatInt(d.Count, 10), d.Principal, d.Action, d.Kind, d.Key, d.Environment, verdict(d.Allow), d.Rule, d.Reason)
	}
}
