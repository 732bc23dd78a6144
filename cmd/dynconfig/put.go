package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/client"
)

func putCommand() *cobra.Command {
	var n connection
	var w writeFlags
	var asString bool
	c := &cobra.Command{
		Use: "put KEY VALUE", Short: "Write a key", Args: arguments(2, "a KEY and a VALUE"),
		Long: `Write a key. VALUE is JSON if it parses, else a string; "-" reads standard input, "@FILE" a file.`,
		Example: `  dynconfig put app.ui.theme dark --ttl 24h --acl-read 'service:*' --acl-write admin-user
  dynconfig put app.limits '{"rps": 100}' --if-version 3
  dynconfig put app.zip 08001 --string
  dynconfig put app.banner @banner.txt --if-absent`,
		RunE: func(c *cobra.Command, args []string) error {
			return n.write(c, &w, args[0], args[1:], asString, (*client.Client).Put)
		},
	}
	n.addFlags(c)
	w.addTTL(c)
	w.addRules(c)
	w.addConditions(c)
	c.Flags().BoolVar(&w.ifAbsent, "if-absent", false, "only if it does not exist")
	c.Flags().BoolVar(&asString, "string", false, "VALUE is a string even where it is JSON")
	return c
}

func patchCommand() *cobra.Command {
	var n connection
	var w writeFlags
	var asString bool
	c := &cobra.Command{
		Use: "patch KEY [VALUE]", Short: "Change a key that exists: its value, TTL or rules",
		Long: `Change what is given of a key that exists, and keep the rest. VALUE is as for put.`,
		Example: `  dynconfig patch app.ui.theme light
  dynconfig patch app.ui.theme --ttl none --acl-read '*'`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				return named(c, args, "a KEY")
			}
			return arguments(2, "a KEY and perhaps a VALUE")(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 && !slices.ContainsFunc([]string{"ttl", "acl-read", "acl-write", "acl-admin", "acls"}, c.Flags().Changed) {
				return usageError{errors.New("dynconfig patch takes something to change: a VALUE, --ttl, --acl-… or --acls")}
			}
			return n.write(c, &w, args[0], args[1:], asString, (*client.Client).Patch)
		},
	}
	n.addFlags(c)
	w.addTTL(c)
	w.addRules(c)
	w.addConditions(c)
	c.Flags().BoolVar(&asString, "string", false, "VALUE is a string even where it is JSON")
	return c
}

// write does a put or a patch.
func (n *connection) write(
	c *cobra.Command, w *writeFlags, key string, value []string, asString bool, do putOrPatch,
) error {
	format, err := n.format("table")
	if err != nil {
		return err
	}
	o, err := w.options(c)
	if err != nil {
		return err
	}
	var sent any // stays nil where there is no VALUE
	if len(value) > 0 {
		if sent, err = readValue(value[0], c.InOrStdin(), asString); err != nil {
			return err
		}
	}
	cl, err := n.client()
	if err != nil {
		return err
	}
	held := func() (*client.ACL, int64, error) {
		it, err := cl.Get(c.Context(), key, client.GetOptions{Metadata: true})
		return it.ACLs, it.Version, err
	}
	var written client.Written
	err = w.merge(o, held, func(o client.WriteOptions) (err error) {
		written, err = do(cl, c.Context(), key, sent, o)
		return err
	})
	if err != nil {
		return err
	}
	return printed(c.OutOrStdout(), format, written.Written, func(row func(...string)) {
		row(written.Key, fmt.Sprintf("version %d", written.Version))
	})
}

type putOrPatch func(cl *client.Client, ctx context.Context, key string, value any, o client.WriteOptions) (client.Written, error)
