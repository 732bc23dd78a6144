package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/policy/source"
)

// localPolicy is the flags of the commands that work on a directory without a server.
type localPolicy struct {
	admins, hosts []string
	output        string
}

func (l *localPolicy) addFlags(c *cobra.Command) {
	c.Flags().StringSliceVar(&l.admins, "admins", []string{"admin-user"}, "the server's ADMINS")
	c.Flags().StringSliceVar(&l.hosts, "policy-http-hosts", nil, "hosts that the server lets http.send call")
	c.Flags().StringSliceVar(&l.hosts, "policy-hosts", nil, "")
	_ = c.Flags().MarkHidden("policy-hosts") // an earlier name
	mayBeEmpty(c.Flags(), "policy-http-hosts", "policy-hosts")
	c.Flags().StringVarP(&l.output, "output", "o", "", "table, json or yaml")
}

// format returns the output format, usual where none is asked for, if the other flags are well.
func (l *localPolicy) format(usual string) (string, error) {
	for _, host := range l.hosts {
		if !hostPattern.MatchString(host) {
			return "", usageError{fmt.Errorf("--policy-http-hosts holds %q: it must be hosts such as api.example.com, without ports", host)}
		}
	}
	return (&connection{output: l.output}).format(usual)
}

func (l *localPolicy) options() policy.CompileOptions {
	return policy.CompileOptions{Admins: l.admins, Hosts: l.hosts}
}

// checked is what a check finds.
type checked struct {
	Faults   []fault  `json:"faults"`
	Reads    []string `json:"reads"`
	Warnings []string `json:"warnings"`
}

type fault struct {
	Location string `json:"location"`
	Message  string `json:"message"`
}

func policyCheckCommand() *cobra.Command {
	var l localPolicy
	c := &cobra.Command{
		Use: "check DIR", Short: "Find out without a server whether one would take a policy", Args: arguments(1, "a DIR"), ValidArgsFunction: directories,
		Long: `Compile the policy of a directory as a server does, strictly and without the builtins that it does not have. Find members of
the input that do not exist, as "opa check --schema" does, and answers that a server would not understand. And ask whether
the server's admins could still change the policy under it.

The exit code is 1 if there is a fault. Tests are not run: see "dynconfig policy test".`,
		Example: "  dynconfig policy check ./policy --admins alice,bob",
		RunE: func(c *cobra.Command, args []string) error {
			format, err := l.format("table")
			if err != nil {
				return err
			}
			found, err := l.check(c, args[0])
			if err != nil {
				return told(c.ErrOrStderr(), err)
			}
			if err := printed(c.OutOrStdout(), format, found, func(row func(...string)) { checkRows(found, row) }); err != nil {
				return err
			}
			switch n := len(found.Faults); n {
			case 0:
				return nil
			case 1:
				return failf("1 fault")
			default:
				return failf("%d faults", n)
			}
		},
	}
	l.addFlags(c)
	return c
}

func (l *localPolicy) check(c *cobra.Command, dir string) (checked, error) {
	found := checked{Faults: []fault{}}
	set, err := source.ReadDir(dir)
	if err != nil {
		return found, err
	}
	linted, err := policy.Lint(c.Context(), set, l.options(), os.DirFS(filepath.Join(dir, "schemas")))
	if err != nil {
		return found, err
	}
	for _, f := range linted.Faults {
		found.Faults = append(found.Faults, fault{f.Path, f.Reason})
	}
	server, err := policy.New(c.Context(), policy.Options{Admins: l.admins, Hosts: l.hosts})
	if err != nil {
		return found, err
	}
	verdict, err := server.Check(c.Context(), set, nil)
	if err != nil {
		return found, err
	}
	found.Reads, found.Warnings = verdict.Reads, verdict.Warnings
	return found, nil
}

func checkRows(found checked, row func(...string)) {
	for _, f := range found.Faults {
		row(fmt.Sprintf("%s: %s", f.Location, f.Message))
	}
	if len(found.Faults) > 0 {
		return
	}
	reads := "nothing else"
	if len(found.Reads) > 0 {
		reads = strings.Join(found.Reads, ", ")
	}
	row("reads, beside username, environment, kind, action and lists: " + reads)
	for _, w := range found.Warnings {
		row("warning: " + w)
	}
}

// read returns the set of a directory, compiled.
func (l *localPolicy) read(c *cobra.Command, dir string) (*policy.Program, error) {
	set, err := source.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	return policy.Compile(c.Context(), set, l.options())
}
