package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/client"
)

func namespaceCommand() *cobra.Command {
	var n connection
	c := &cobra.Command{
		Use: "namespace", Short: "The rules of namespaces: list, get, put, delete",
		Long: `A namespace's record holds rules for every key below it. "*" is the root, in which everything lies.`,
		Args: arguments(0, ""), RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	n.addFlags(c)
	c.AddCommand(n.namespaceList(), n.namespaceGet(), n.namespacePut(), n.namespaceDelete())
	return c
}

func (n *connection) namespaceList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the namespaces that have a record", Args: arguments(0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			cl, format, err := n.open()
			if err != nil {
				return err
			}
			whole := client.Namespaces{Namespaces: []string{}}
			for page, err := range cl.NamespacePages(c.Context(), 1000) {
				if err != nil {
					return err
				}
				if whole.Revision == "" {
					whole.Total, whole.TotalIsLowerBound, whole.Revision = page.Total, page.TotalIsLowerBound, page.Revision
				}
				whole.Namespaces = append(whole.Namespaces, page.Namespaces...)
			}
			return printed(c.OutOrStdout(), format, whole, func(row func(...string)) {
				for _, name := range whole.Namespaces {
					row(name)
				}
			})
		},
	}
}

func (n *connection) namespaceGet() *cobra.Command {
	return &cobra.Command{
		Use: "get NAMESPACE", Short: "Show a namespace's record", Args: arguments(1, "a NAMESPACE"),
		RunE: func(c *cobra.Command, args []string) error {
			cl, format, err := n.open()
			if err != nil {
				return err
			}
			ns, err := cl.Namespace(c.Context(), args[0])
			if err != nil {
				return err
			}
			return printed(c.OutOrStdout(), format, ns, func(row func(...string)) {
				row("namespace", ns.Namespace)
				row("version", strconv.FormatInt(ns.Version, 10))
				row("modified", ns.LastModified.Format(time.RFC3339), "by "+ns.LastModifiedBy)
				aclRows(ns.ACLs, row)
			})
		},
	}
}

func (n *connection) namespacePut() *cobra.Command {
	var w writeFlags
	c := &cobra.Command{
		Use: "put NAMESPACE", Short: "Write a namespace's record; what is not given is kept", Args: arguments(1, "a NAMESPACE"),
		Example: "  dynconfig namespace put app --acl-read '*' --acl-write 'service:*' --acl-admin alice",
		RunE: func(c *cobra.Command, args []string) error {
			format, err := n.format("table")
			if err != nil {
				return err
			}
			o, err := w.options(c)
			if err != nil {
				return err
			}
			cl, err := n.client()
			if err != nil {
				return err
			}
			held := func() (*client.ACL, int64, error) {
				ns, err := cl.Namespace(c.Context(), args[0])
				return ns.ACLs, ns.Version, err
			}
			var written client.NamespaceWritten
			err = w.merge(o, held, func(o client.WriteOptions) (err error) {
				written, err = cl.PutNamespace(c.Context(), args[0], o)
				return err
			})
			if err != nil {
				return err
			}
			return printed(c.OutOrStdout(), format, written.NamespaceWritten, func(row func(...string)) {
				row(written.Namespace, fmt.Sprintf("version %d", written.Version))
			})
		},
	}
	w.addRules(c)
	w.addConditions(c)
	c.Flags().BoolVar(&w.ifAbsent, "if-absent", false, "only if it does not exist")
	return c
}

func (n *connection) namespaceDelete() *cobra.Command {
	var w writeFlags
	c := &cobra.Command{
		Use: "delete NAMESPACE", Short: "Delete a namespace's record, not its keys", Args: arguments(1, "a NAMESPACE"),
		RunE: func(c *cobra.Command, args []string) error {
			o, err := w.options(c)
			if err != nil {
				return err
			}
			cl, err := n.client()
			if err != nil {
				return err
			}
			_, err = cl.DeleteNamespace(c.Context(), args[0], client.DeleteOptions{IfVersion: o.IfVersion})
			return err
		},
	}
	w.addConditions(c)
	return c
}
