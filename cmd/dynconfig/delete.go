package main

import (
	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/client"
)

func deleteCommand() *cobra.Command {
	var n connection
	var w writeFlags
	var purge bool
	c := &cobra.Command{
		Use: "delete KEY", Short: "Delete a key", Args: arguments(1, "a KEY"),
		Example: "  dynconfig delete app.ui.theme --if-version 3",
		RunE: func(c *cobra.Command, args []string) error {
			o, err := w.options(c)
			if err != nil {
				return err
			}
			cl, err := n.client()
			if err != nil {
				return err
			}
			_, err = cl.Delete(c.Context(), args[0], client.DeleteOptions{IfVersion: o.IfVersion, Purge: purge})
			return err
		},
	}
	n.addFlags(c)
	w.addConditions(c)
	c.Flags().BoolVar(&purge, "purge", false, "forget its versions too; for server admins")
	return c
}
