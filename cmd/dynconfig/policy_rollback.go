package main

import (
	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/client"
)

func policyRollbackCommand() *cobra.Command {
	var n connection
	var o client.RollbackPolicyOptions
	c := &cobra.Command{
		Use: "rollback REVISION", Short: "Put an earlier policy in force", Args: arguments(1, "a REVISION of `dynconfig policy history`"),
		RunE: func(c *cobra.Command, args []string) error {
			cl, format, err := n.open()
			if err != nil {
				return err
			}
			state, err := cl.RollbackPolicy(c.Context(), args[0], o)
			if err != nil {
				return told(c.ErrOrStderr(), err)
			}
			return printed(c.OutOrStdout(), format, state, func(row func(...string)) { policyRows(state, row) })
		},
	}
	n.addFlags(c)
	c.Flags().StringVar(&o.Note, "note", "", "why, for the history")
	c.Flags().StringVar(&o.IfRevision, "if-revision", "", "only if this revision is in force")
	mayBeEmpty(c.Flags(), "note")
	return c
}
