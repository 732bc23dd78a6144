package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/core"
)

func policyExplainCommand() *cobra.Command {
	var n connection
	var kind, as string
	var claims []string
	var exit bool
	c := &cobra.Command{
		Use: "explain ACTION [KEY]", Short: "Say whether something is allowed, and why", ValidArgsFunction: actionArguments,
		Args: itemArguments(&kind),
		Long: `Say whether something is allowed, by which rule and which line of a list; or what would have to change.
Everybody may ask about himself, admins of an item about others. An ACTION is read, list, watch, create, write, delete or
admin. The kinds environment, policy and audit need no KEY. The exit code is 0 whatever the answer; with --exit-code it is 4 for a denial.`,
		Example: `  dynconfig policy explain read app.ui.theme
  dynconfig policy explain --as service:pay --claim team=pay write app.ui.theme
  dynconfig policy explain --as alice admin app --kind namespace`,
		RunE: func(c *cobra.Command, args []string) error {
			format, err := n.format("table")
			if err != nil {
				return err
			}
			q := questionOf(args, kind)
			if q.Subject, err = asker(as, claims); err != nil {
				return err
			}
			cl, err := n.client()
			if err != nil {
				return err
			}
			e, err := cl.Explain(c.Context(), q)
			if err != nil {
				return err
			}
			if err := printed(c.OutOrStdout(), format, e, func(row func(...string)) { explanationRows(e, as, row) }); err != nil {
				return err
			}
			if exit && !e.Allow {
				return core.Errorf(core.ErrForbidden, "Denied by rule %s", e.Rule)
			}
			return nil
		},
	}
	n.addFlags(c)
	addKind(c, &kind)
	c.Flags().StringVar(&as, "as", "", "the principal in question; you, if it is not given")
	c.Flags().StringArrayVar(&claims, "claim", nil, "a claim of its token, NAME=VALUE, where VALUE is JSON or else a string; repeat it for more")
	c.Flags().BoolVar(&exit, "exit-code", false, "exit with 4 if it is denied")
	return c
}

func addKind(c *cobra.Command, kind *string) {
	c.Flags().StringVar(kind, "kind", "", "key (the default), document, namespace, environment, policy or audit")
	complete(c, "kind", kindWords()...)
}

func kindWords() []string {
	return []string{"key", "document", "namespace", "environment", "policy", "audit"}
}

func actionWords() []string {
	return []string{"read", "list", "watch", "create", "write", "delete", "admin"}
}

// itemArguments demands an ACTION and a KEY, which is left out where the kind says enough.
func itemArguments(kind *string) cobra.PositionalArgs {
	both, one := arguments(2, "an ACTION and a KEY"), []string{"environment", "policy", "audit"}
	return func(c *cobra.Command, args []string) error {
		if len(args) > 0 && !slices.Contains(actionWords(), args[0]) {
			return usageError{fmt.Errorf("ACTION is %q: it must be one of %s", args[0], strings.Join(actionWords(), ", "))}
		}
		if err := knownKind(*kind); err != nil {
			return err
		}
		if len(args) == 1 && slices.Contains(one, *kind) {
			return nil
		}
		return both(c, args)
	}
}

// knownKind refuses a kind of item that there is none of; "" is no particular one.
func knownKind(kind string) error {
	if kind == "" || slices.Contains(kindWords(), kind) {
		return nil
	}
	return usageError{fmt.Errorf("--kind is %q: it must be one of %s", kind, strings.Join(kindWords(), ", "))}
}

// questionOf is what the arguments ask.
func questionOf(args []string, kind string) client.Question {
	q := client.Question{Action: args[0], Kind: kind}
	if len(args) > 1 {
		q.Key = args[1]
	}
	return q
}

// complete offers words for a flag.
func complete(c *cobra.Command, flag string, words ...string) {
	_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
}

// actionArguments completes an ACTION.
func actionArguments(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return actionWords(), cobra.ShellCompDirectiveNoFileComp
}

// asker is who is asked about; nil: whoever calls.
func asker(as string, claims []string) (*client.Asker, error) {
	if as == "" && len(claims) == 0 {
		return nil, nil
	}
	if as == "" {
		return nil, usageError{errors.New("--claim needs --as: your own claims are in your token")}
	}
	a := &client.Asker{Username: as}
	for _, claim := range claims {
		name, text, ok := strings.Cut(claim, "=")
		if !ok || name == "" {
			return nil, usageError{fmt.Errorf("--claim is %q: it must be NAME=VALUE, such as team=pay", claim)}
		}
		if a.Claims == nil {
			a.Claims = map[string]any{}
		}
		a.Claims[name] = text
		if json.Valid([]byte(text)) {
			a.Claims[name] = json.RawMessage(text)
		}
	}
	return a, nil
}

func explanationRows(e client.Explanation, as string, row func(...string)) {
	row(verdict(e.Allow), fmt.Sprintf("%s, for %s", strings.TrimSpace(e.Action+" "+e.Key), cmp.Or(as, "you")))
	row("reason", e.Reason)
	rule := e.Rule
	if e.File != "" {
		rule += fmt.Sprintf(" (%s:%d)", e.File, e.Line)
	}
	row("rule", rule)
	if e.Grant != nil {
		row("granted by", lineText(*e.Grant))
	}
	if e.Nearest != nil {
		row("nearest", e.Nearest.Text)
	}
}

// lineText is an entry of a list and where it stands, as words.
func lineText(l client.ACLLine) string {
	if l.Source == "server" {
		return l.Entry + " in ADMINS of the server"
	}
	return fmt.Sprintf("%s in list %s of %s %s", l.Entry, l.List, l.Source, l.Name)
}
