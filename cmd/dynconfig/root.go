package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/core"
)

const about = `DynConfig stores configuration, guards it, and streams every change.

The server:     dynconfig serve
A first token:  export DYNCONFIG_TOKEN=$(dynconfig token --user admin-user)

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 denied, 5 conflict.`

// run is the program. It returns the exit code.
func run(args []string, in io.Reader, out, errs io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait for a drain
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintf(errs, "dynconfig: %s\n", sentence(err))
	}
	return exitCode(err)
}

// sentence is an error on one line, with what the server said of the request's parts.
func sentence(err error) string {
	text := err.Error()
	var e *core.Error
	if errors.As(err, &e) {
		if e.Cause != nil && strings.Contains(e.Detail, innermost(e).Error()) {
			text = strings.TrimSuffix(text, ": "+e.Cause.Error()) // says nothing more
		}
		for _, f := range e.Fields {
			if !strings.Contains(text, f.Reason) {
				text += "; " + f.Path + ": " + f.Reason
			}
		}
		if e.RequestID != "" && (errors.Is(e.Kind, core.ErrForbidden) || errors.Is(e.Kind, core.ErrInternal)) {
			text += " (request " + e.RequestID + ")" // an admin finds the decision, or its cause, by it
		}
	}
	var usage usageError
	if errors.As(err, &usage) && !strings.Contains(text, "--help") {
		text += "; see --help"
	}
	return strings.Join(strings.Fields(text), " ")
}

// innermost is the error that everything else is wrapped around.
func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use: "dynconfig", Short: "A server for configuration, and its client", Long: about,
		Args: arguments(0, ""), RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
		PersistentPreRunE: noEmptyFlag, SilenceErrors: true, SilenceUsage: true,
	}
	root.SetFlagErrorFunc(badFlag)
	root.AddCommand(
		serveCommand(), tokenCommand(),
		getCommand(), putCommand(), patchCommand(), deleteCommand(), listCommand(), watchCommand(), namespaceCommand(),
		policyCommand(), policyWorkerCommand(), healthCommand(), keysetCommand(), dbCommand(), migrateCommand(), versionCommand(),
	)
	strict(root)
	return root
}

// strict has cobra's own commands refuse what they do not know.
func strict(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "completion":
			c.Args, c.RunE = arguments(0, ""), func(c *cobra.Command, _ []string) error { return c.Help() }
		case "help":
			c.Args = func(_ *cobra.Command, args []string) error {
				if _, unknown, err := root.Find(args); err != nil || len(unknown) > 0 {
					return usageError{fmt.Errorf("no command is called %q", strings.Join(args, " "))}
				}
				return nil
			}
		}
	}
}

// arguments demands n of them.
func arguments(n int, names string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) == n:
			return named(c, args, names)
		case n == 0 && c.HasSubCommands():
			return usageError{fmt.Errorf("unknown command %q for %q", args[0], c.CommandPath())}
		case n == 0:
			return usageError{fmt.Errorf("%s takes no arguments", c.CommandPath())}
		}
		return usageError{fmt.Errorf("%s takes %s", c.CommandPath(), names)}
	}
}

// upTo allows n arguments at most.
func upTo(n int, names string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) <= n {
			return named(c, args, names)
		}
		return usageError{fmt.Errorf("%s takes %s", c.CommandPath(), names)}
	}
}

// named refuses a first argument that is empty: it names what the command is about.
func named(c *cobra.Command, args []string, names string) error {
	if len(args) > 0 && args[0] == "" {
		return usageError{fmt.Errorf("%s takes %s, and it is empty", c.CommandPath(), names)}
	}
	return nil
}
