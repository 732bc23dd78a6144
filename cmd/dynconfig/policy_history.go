package main

import (
	"errors"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

func policyHistoryCommand() *cobra.Command {
	var n connection
	var limit int
	c := &cobra.Command{
		Use: "history", Short: "List the policies that were put, newest first", Args: arguments(0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			if limit < 0 {
				return usageError{errors.New("--limit is negative")}
			}
			cl, format, err := n.open()
			if err != nil {
				return err
			}
			history, err := cl.PolicyHistory(c.Context(), limit)
			if err != nil {
				return err
			}
			return printed(c.OutOrStdout(), format, history, func(row func(...string)) {
				row("REVISION", "TIME", "AUTHOR", "EVENT", "MODULES", "NOTE")
				for _, v := range history.Versions {
					row(v.Revision, v.Time.Local().Format(time.RFC3339), v.Author, v.Event, strconv.Itoa(len(v.Modules)), v.Note)
				}
			})
		},
	}
	n.addFlags(c)
	c.Flags().IntVar(&limit, "limit", 0, "at most so many")
	return c
}
