package main

import (
	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/core"
)

func policyConfirmCommand() *cobra.Command {
	var n connection
	c := &cobra.Command{
		Use: "confirm [REVISION]", Short: "Keep a policy that was pushed with --confirm", Args: upTo(1, "at most a REVISION"),
		Long: `Keep a policy that was pushed with --confirm; without a REVISION, the one that waits for it now.`,
		RunE: func(c *cobra.Command, args []string) error {
			cl, format, err := n.open()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				state, err := cl.Policy(c.Context())
				if err != nil {
					return err
				}
				if state.ConfirmBy == nil {
					return core.Errorf(core.ErrConflict, "No policy waits to be confirmed")
				}
				args = []string{state.Revision}
			}
			state, err := cl.ConfirmPolicy(c.Context(), args[0])
			if err != nil {
				return err
			}
			return printed(c.OutOrStdout(), format, state, func(row func(...string)) { policyRows(state, row) })
		},
	}
	n.addFlags(c)
	return c
}
