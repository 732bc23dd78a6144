package main

import "github.com/spf13/cobra"

func policyRollbackCommand() *cobra.Command {
	var n connection
	var note string
	c := &cobra.Command{
		Use: "rollback REVISION", Short: "Put an earlier policy in force", Args: arguments(1, "a REVISION of `dynconfig policy history`"),
		RunE: func(c *cobra.Command, args []string) error {
			cl, format, err := n.open()
			if err != nil {
				return err
			}
			state, err := cl.RollbackPolicy(c.Context(), args[0], note)
			if err != nil {
				return told(c.ErrOrStderr(), err)
			}
			return printed(c.OutOrStdout(), format, state, func(row func(...string)) { policyRows(state, row) })
		},
	}
	n.addFlags(c)
	c.Flags().StringVar(&note, "note", "", "why, for the history")
	mayBeEmpty(c.Flags(), "note")
	return c
}
