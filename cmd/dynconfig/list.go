package main

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/client"
)

func listCommand() *cobra.Command {
	var n connection
	var o client.ListOptions
	c := &cobra.Command{
		Use: "list [NAMESPACE]", Short: "List the keys that may be read",
		Example: "  dynconfig list\n  dynconfig list app.ui --values",
		Args:    upTo(1, "at most a NAMESPACE"),
		RunE: func(c *cobra.Command, args []string) error {
			if !slices.Contains([]string{"", "read", "write"}, o.Access) {
				return usageError{fmt.Errorf("--access is %q: it must be read or write", o.Access)}
			}
			if len(args) > 0 {
				o.Namespace = args[0]
			}
			cl, format, err := n.open()
			if err != nil {
				return err
			}
			o.PageSize = 1000
			whole := client.Listing{Keys: []string{}}
			for page, err := range cl.Pages(c.Context(), o) {
				if err != nil {
					return err
				}
				if whole.Revision == "" {
					whole.Total, whole.TotalIsLowerBound, whole.Revision = page.Total, page.TotalIsLowerBound, page.Revision
				}
				whole.Keys = append(whole.Keys, page.Keys...)
				whole.Items = append(whole.Items, page.Items...)
			}
			return printed(c.OutOrStdout(), format, whole, func(row func(...string)) { listRows(whole, o.Values, row) })
		},
	}
	n.addFlags(c)
	c.Flags().BoolVar(&o.Values, "values", false, "with versions and values")
	c.Flags().StringVar(&o.Access, "access", "", "keys that may be accessed so: read or write")
	c.Flags().StringVar(&o.Principal, "principal", "", "keys that this principal may access, of those that you administer")
	return c
}

func listRows(l client.Listing, values bool, row func(...string)) {
	if !values {
		for _, key := range l.Keys {
			row(key)
		}
		return
	}
	row("KEY", "VERSION", "VALUE")
	for _, item := range l.Items {
		row(item.Key, strconv.FormatInt(item.Version, 10), line(item.Value))
	}
}
