package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/client"
)

func getCommand() *cobra.Command {
	var n connection
	var strong bool
	c := &cobra.Command{
		Use: "get KEY", Short: "Read a key", Args: arguments(1, "a KEY"),
		Long:    `Read a key and print its bare value: a string's text, of anything else the JSON. With -o also what is known about it.`,
		Example: "  dynconfig get app.ui.theme\n  dynconfig get app.ui.theme -o yaml",
		RunE: func(c *cobra.Command, args []string) error {
			format, err := n.format("value")
			if err != nil {
				return err
			}
			cl, err := n.client()
			if err != nil {
				return err
			}
			item, err := cl.Get(c.Context(), args[0], client.GetOptions{Strong: strong, Metadata: format != "value"})
			if err != nil {
				return err
			}
			if format == "value" {
				_, err := fmt.Fprintln(c.OutOrStdout(), bare(item.Value))
				return err
			}
			return printed(c.OutOrStdout(), format, item, func(row func(...string)) { itemRows(item, row) })
		},
	}
	n.addFlags(c)
	c.Flags().BoolVar(&strong, "strong", false, "linearizable: see every write that was acknowledged before")
	return c
}

func itemRows(item client.Item, row func(...string)) {
	row("key", item.Key)
	row("value", line(item.Value))
	row("version", strconv.FormatInt(item.Version, 10))
	if item.TTL != nil {
		row("ttl", (time.Duration(*item.TTL) * time.Second).String())
	}
	if item.ExpiresAt != nil {
		row("expires", item.ExpiresAt.Format(time.RFC3339))
	}
	if item.LastModified != nil {
		row("modified", item.LastModified.Format(time.RFC3339), "by "+item.LastModifiedBy)
	}
	row("revision", item.Revision)
	aclRows(item.ACLs, row)
}

func aclRows(acls *client.ACL, row func(...string)) {
	if acls == nil {
		return
	}
	for _, l := range []struct {
		name string
		list []string
	}{{"read", acls.Read}, {"write", acls.Write}, {"admin", acls.Admin}} {
		switch {
		case l.list == nil:
		case len(l.list) == 0:
			row(l.name, "(nobody)")
		default:
			row(l.name, strings.Join(l.list, ", "))
		}
	}
}
