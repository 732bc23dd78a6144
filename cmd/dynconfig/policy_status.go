package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/client"
)

func policyStatusCommand() *cobra.Command {
	var n connection
	c := &cobra.Command{
		Use: "status", Short: "Show what policy is in force", Args: arguments(0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			cl, format, err := n.open()
			if err != nil {
				return err
			}
			state, err := cl.Policy(c.Context())
			if err != nil {
				return err
			}
			return printed(c.OutOrStdout(), format, state, func(row func(...string)) { policyRows(state, row) })
		},
	}
	n.addFlags(c)
	return c
}

func policyRows(s client.PolicyState, row func(...string)) {
	put := func(name, text string) {
		if text != "" {
			row(name, text)
		}
	}
	if s.DryRun {
		row("dry run", "it would be put in force")
	}
	put("source", s.Source)
	put("revision", s.Revision)
	if !s.LoadedAt.IsZero() && !s.DryRun {
		row("loaded", s.LoadedAt.Local().Format(time.RFC3339))
	}
	put("author", s.Author)
	put("note", s.Note)
	if s.ConfirmBy != nil {
		row("confirm", confirmHint(s))
	}
	if s.Rescue {
		row("rescue", "started with the shipped rules; what is stored is not in force")
	}
	put("last error", s.LastError)
	put("modules", strings.Join(slices.Sorted(maps.Keys(s.Modules)), ", "))
	put("reads", strings.Join(s.Reads, ", "))
	if t := s.Tests; t != nil {
		row("tests", fmt.Sprintf("%d passed, %d failed, %.1f%% of the lines run", t.Passed, len(t.Failed), t.Coverage))
	}
	for _, w := range s.Warnings {
		row("warning", w)
	}
}
