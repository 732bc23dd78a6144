package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/client"
)

func policyWhoCanCommand() *cobra.Command {
	var n connection
	var kind string
	c := &cobra.Command{
		Use: "who-can ACTION KEY", Short: "List who may do something", ValidArgsFunction: actionArguments, Args: arguments(2, "an ACTION and a KEY"),
		Long:    `List the principals, and patterns of them, that the policy allows something, for admins of the item.`,
		Example: "  dynconfig policy who-can read app.ui.theme",
		RunE: func(c *cobra.Command, args []string) error {
			cl, format, err := n.open()
			if err != nil {
				return err
			}
			who, err := cl.WhoCan(c.Context(), client.Question{Action: args[0], Key: args[1], Kind: kind})
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
