package main

import (
	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/core/seal"
)

func keysetCommand() *cobra.Command {
	c := &cobra.Command{Use: "keyset", Short: "The keys that values are encrypted with at rest", Args: arguments(0, ""), RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(&cobra.Command{
		Use: "create FILE", Short: "Make a keyset, unless the file is there", Args: arguments(1, "a FILE"),
		Long: `Make an AES-256-GCM keyset, for DYNCONFIG_KEYSET of every node on a shared backend. A file that is there stays as it is.
Who loses the file loses the values; who reads it can read them.`,
		Example: "  dynconfig keyset create keyset.json",
		RunE: func(_ *cobra.Command, args []string) error {
			_, err := seal.LoadOrCreate(args[0], true)
			return err
		},
	})
	return c
}
