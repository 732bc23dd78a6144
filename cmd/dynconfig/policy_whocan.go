package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func policyWhoCanCommand() *cobra.Command {
	var n connection
	var kind string
	c := &cobra.Command{
		Use: "who-can ACTION [KEY]", Short: "List who may do something", ValidArgsFunction: actionArguments, Args: itemArguments(&kind),
		Long:    `List the principals, and patterns of them, that the policy allows something, for admins of the item.`,
		Example: "  dynconfig policy who-can read app.ui.theme",
		RunE: func(c *cobra.Command, args []string) error {
			cl, format, err := n.open()
			if err != nil {
				return err
			}
			who, err := cl.WhoCan(c.Context(), questionOf(args, kind))
			if err != nil {
				return err
			}
			if who.Partial {
				fmt.Fprintln(c.ErrOrStderr(), "dynconfig: the policy looks at more than names and lists; others may be allowed it too")
			}
			return printed(c.OutOrStdout(), format, who, func(row func(...string)) {
				row("PRINCIPAL", "RULE", "BY")
				for _, h := range who.Principals {
					by := ""
					if h.Grant != nil {
						by = lineText(*h.Grant)
					}
					row(h.Principal, h.Rule, by)
				}
			})
		},
	}
	n.addFlags(c)
	addKind(c, &kind)
	return c
}
