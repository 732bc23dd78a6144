package main

import (
	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/policy/sandbox"
)

// workerName is the command by which a server runs this program again, to try policies in it.
const workerName = "policy-worker"

func policyWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use: workerName, Short: "Try policies for a server, which starts this by itself", Hidden: true, Args: arguments(0, ""),
		RunE: func(c *cobra.Command, _ []string) error { return sandbox.Work(c.InOrStdin(), c.OutOrStdout()) },
	}
}
