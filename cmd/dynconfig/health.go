package main

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/core"
)

func healthCommand() *cobra.Command {
	var n connection
	c := &cobra.Command{
		Use: "health", Short: "Ask a server how it is", Args: arguments(0, ""),
		Long: `Ask a server how it is, and its parts. It takes no token. Exit code 1 if the server is unhealthy or does not answer: this
is what a container's health check calls.`,
		Example: "  dynconfig health --server http://127.0.0.1:8080",
		RunE: func(c *cobra.Command, _ []string) error {
			format, err := n.format("table")
			if err != nil {
				return err
			}
			cl, err := client.New(first(n.server, os.Getenv("DYNCONFIG_SERVER"), defaultServer), client.Options{})
			if err != nil {
				return usageError{err}
			}
			h, err := cl.Health(c.Context())
			if err != nil {
				return err
			}
			err = printed(c.OutOrStdout(), format, h, func(row func(...string)) {
				row("status", h.Status)
				for _, part := range slices.Sorted(maps.Keys(h.Components)) {
					row(part, h.Components[part])
				}
			})
			if err == nil && h.Status == core.Unhealthy {
				err = fmt.Errorf("the server is unhealthy")
			}
			return err
		},
	}
	c.Flags().StringVar(&n.server, "server", "", "address of the server (DYNCONFIG_SERVER; default "+defaultServer+")")
	c.Flags().StringVarP(&n.output, "output", "o", "", "table, json or yaml")
	return c
}
