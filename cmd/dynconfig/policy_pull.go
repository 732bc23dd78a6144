package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/core"
)

func policyPullCommand() *cobra.Command {
	var n connection
	var force bool
	c := &cobra.Command{
		Use: "pull DIR", Short: "Write the policy in force into a directory", Args: arguments(1, "a DIR"), ValidArgsFunction: directories,
		Long: `Write the policy in force into a directory, as "dynconfig policy push" takes it: its .rego files, and data.json.
A file that is there with another content is kept, and nothing is written, unless --force is given.`,
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := n.client()
			if err != nil {
				return err
			}
			state, err := cl.Policy(c.Context())
			if err != nil {
				return err
			}
			if len(state.Modules) == 0 {
				return core.Errorf(core.ErrNotFound, "The shipped rules are in force and nothing else; `dynconfig policy init` writes a directory to start from")
			}
			files, err := policyFiles(state)
			if err != nil {
				return err
			}
			if err := writeFiles(args[0], files, force); err != nil {
				return err
			}
			for _, name := range slices.Sorted(maps.Keys(files)) {
				fmt.Fprintln(c.OutOrStdout(), filepath.Join(args[0], name))
			}
			others, err := strayFiles(args[0], files)
			for _, name := range others {
				fmt.Fprintf(c.ErrOrStderr(), "dynconfig: %s is not part of that policy and would be pushed with it\n", filepath.Join(args[0], name))
			}
			return err
		},
	}
	n.addFlags(c)
	c.Flags().BoolVar(&force, "force", false, "replace files that differ")
	return c
}

// policyFiles are the files of a policy by name. A name that leads out of the directory is not the server's to choose.
func policyFiles(s client.PolicyState) (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, text := range s.Modules {
		if local := filepath.FromSlash(name); filepath.IsLocal(local) && strings.HasSuffix(name, ".rego") {
			files[local] = []byte(text)
			continue
		}
		return nil, failf("The server names a file %q, which is none inside a directory", name)
	}
	if len(s.Data) > 0 && string(s.Data) != "null" {
		var b bytes.Buffer
		if err := json.Indent(&b, s.Data, "", "  "); err != nil {
			return nil, failf("The policy's data is not JSON")
		}
		b.WriteByte('\n')
		files["data.json"] = b.Bytes()
	}
	return files, nil
}

// writeFiles writes all of them or, if one is there that differs, none.
func writeFiles(dir string, files map[string][]byte, force bool) error {
	for name, text := range files {
		held, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil && !bytes.Equal(held, text) && !force {
			return failf("%s differs from what is in force; --force replaces it", filepath.Join(dir, name))
		}
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fileError(path, err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return fileError(path, err)
		}
	}
	return nil
}

// strayFiles are those of a directory that a push would take along.
func strayFiles(dir string, files map[string][]byte) (names []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name, bad := filepath.Rel(dir, path)
		switch {
		case err != nil || bad != nil:
			return errors.Join(err, bad)
		case name != "." && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
		case !d.IsDir() && (strings.HasSuffix(name, ".rego") || d.Name() == "data.json" || d.Name() == "data.yaml") && files[name] == nil:
			names = append(names, name)
		}
		return nil
	})
	return names, err
}
