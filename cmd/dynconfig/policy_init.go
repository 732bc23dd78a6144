package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/policy/starter"
)

func policyInitCommand() *cobra.Command {
	var only []string
	c := &cobra.Command{
		Use: "init [DIR]", Short: "Write a policy to begin with, and its tests", Args: upTo(1, "a DIR at most"), ValidArgsFunction: directories,
		Long: `Write a directory, ./policy unless another is named, with a policy that answers as the server does by itself, examples of
further rules, which data.json switches on, tests of all of it, and the JSON Schemas of what a policy sees and answers.
Nothing is written where there is something.

Examples: ` + strings.Join(starter.Examples(), ", ") + `.`,
		Example: `  dynconfig policy init
  dynconfig policy init ./rules --examples freeze,break_glass
  dynconfig policy init ./rules --examples none`,
		RunE: func(c *cobra.Command, args []string) error {
			dir := first(append(slices.Clone(args), "policy")...)
			keep, err := examples(only)
			if err != nil {
				return err
			}
			files, err := starter.Files(keep)
			if err != nil {
				return err
			}
			if err := writeNew(dir, files); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "wrote %d files to %s; next:\n  dynconfig policy check %[2]s\n  dynconfig policy test %[2]s --coverage\n", len(files), dir)
			return nil
		},
	}
	c.Flags().StringSliceVar(&only, "examples", []string{"all"}, "all, none, or names of them")
	return c
}

// examples returns which to keep.
func examples(names []string) (func(string) bool, error) {
	switch {
	case len(names) == 1 && names[0] == "all":
		return func(string) bool { return true }, nil
	case len(names) == 1 && names[0] == "none":
		names = nil
	}
	for _, name := range names {
		if !slices.Contains(starter.Examples(), name) {
			return nil, usageError{fmt.Errorf("--examples names %q: it must be all, none, or some of %s", name, strings.Join(starter.Examples(), ", "))}
		}
	}
	return func(name string) bool { return slices.Contains(names, name) }, nil
}

// writeNew writes files into a directory that is empty or not there.
func writeNew(dir string, files map[string]string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fileError(dir, err)
	case len(entries) > 0:
		return failf("%s is not empty: nothing is written over what is there", dir)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return fileError(filepath.Dir(file), err)
		}
		if err := os.WriteFile(file, []byte(files[name]), 0o644); err != nil {
			return fileError(file, err)
		}
	}
	return nil
}
