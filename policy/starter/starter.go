// Package starter is a policy to begin with: the shipped behaviour, examples of further rules, and tests of all of it.
package starter

import (
	"embed"
	"io/fs"
	"path"
	"strings"

	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/policy/schemas"
)

//go:embed files
var files embed.FS

// admins stands in for what a server says, where OPA's own tools look for it.
const admins = `# What the server says by itself: its ADMINS. This file stands in for that, for OPA's own tools.
package dynconfig.config

admins := ["admin-user"]
`

// Examples are the names of the rules that come with it.
func Examples() []string {
	entries, _ := files.ReadDir("files/rules") // embedded
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".rego"); ok && !strings.HasSuffix(name, "_test") {
			names = append(names, name)
		}
	}
	return names
}

// Files are the texts of the directory by path, with the examples that keep answers true for.
func Files(keep func(example string) bool) (map[string]string, error) {
	all := map[string]string{".shipped/config.rego": admins}
	for folder, from := range map[string]fs.FS{".": mustSub(files), ".shipped": policy.Reference(), "schemas": schemas.Files} {
		err := fs.WalkDir(from, ".", func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			if example, ok := strings.CutPrefix(name, "rules/"); ok && !keep(strings.TrimSuffix(strings.TrimSuffix(example, ".rego"), "_test")) {
				return nil
			}
			text, err := fs.ReadFile(from, name)
			all[path.Join(folder, name)] = string(text)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func mustSub(files embed.FS) fs.FS {
	sub, err := fs.Sub(files, "files")
	if err != nil {
		panic(err) // the name is a valid one
	}
	return sub
}
