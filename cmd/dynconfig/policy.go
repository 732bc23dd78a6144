package main

import "github.com/spf13/cobra"

func policyCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "policy", Short: "The rules that decide every access: write, test, change and explain them",
		Long: `Rules in Rego decide every access. The shipped ones go by the lists of keys, namespaces and ADMINS; a set of your own adds to
them, narrows them or does without them. A server takes a set only if it compiles, its tests pass and you and one of
ADMINS would still administer the policy under it.`,
		Example: `  dynconfig policy init ./policy
  dynconfig policy test ./policy --coverage
  dynconfig policy explain --as service:pay read app.ui.theme
  dynconfig policy push ./policy --confirm 5m --note 'freeze of the release'`,
		Args: arguments(0, ""), RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		policyInitCommand(), policyCheckCommand(), policyTestCommand(), policyEvalCommand(),
		policyPushCommand(), policyPullCommand(), policyStatusCommand(), policyHistoryCommand(), policyRollbackCommand(), policyConfirmCommand(),
		policyExplainCommand(), policyWhoCanCommand(), policyReplayCommand(), policyDecisionsCommand(),
	)
	return c
}
