package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func versionCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use: "version", Short: "Print the program's version", Args: arguments(0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			format, err := (&connection{output: output}).format("table")
			if err != nil {
				return err
			}
			v := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
			}{version(), runtime.Version()}
			return printed(c.OutOrStdout(), format, v, func(row func(...string)) { row("dynconfig " + v.Version + " " + v.Go) })
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", "table, json or yaml")
	return c
}

// version is that of the module, or of the commit that it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
