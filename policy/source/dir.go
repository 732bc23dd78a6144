// Package source finds policies where they are kept.
package source

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"strings"

	"github.com/open-policy-agent/opa/v1/util"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
)

// MaxBytes bounds the files of a set, together: a set is kept as one value.
const MaxBytes = core.MaxValue

// ReadDir reads a set from a directory: every .rego file in it and below, named by its path, and what data.json or
// data.yaml say, put under the path of the folder they stand in. Names that begin with a dot are passed over, and with
// them what Kubernetes puts beside the files of a mounted ConfigMap.
func ReadDir(dir string) (policy.Set, error) {
	set, err := ReadFS(os.DirFS(dir))
	var e *core.Error
	switch {
	case err == nil:
		return set, nil
	case errors.As(err, &e):
		return policy.Set{}, err
	}
	return policy.Set{}, core.Errorf(core.ErrInvalid, "Policy directory %s cannot be read", dir).Because(err)
}

// ReadFS is ReadDir of a file system.
func ReadFS(files fs.FS) (policy.Set, error) {
	set := policy.Set{Modules: map[string]string{}}
	size := 0
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		switch base := path.Base(name); {
		case err != nil:
			return err
		case base != "." && strings.HasPrefix(base, "."):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir() || path.Ext(base) != ".rego" && base != "data.json" && base != "data.yaml":
			return nil
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if size += len(text); size > MaxBytes {
			return core.Errorf(core.ErrTooLarge, "Policy directory holds more than %d bytes of Rego and data", MaxBytes)
		}
		if path.Ext(name) == ".rego" {
			set.Modules[name] = string(text)
			return nil
		}
		return addData(&set, name, text)
	})
	if err != nil {
		return policy.Set{}, err
	}
	if len(set.Modules) == 0 {
		return policy.Set{}, core.Errorf(core.ErrInvalid, "Policy directory holds no .rego file")
	}
	return set, nil
}

// addData puts the content of a data file under the folder of it.
func addData(set *policy.Set, name string, text []byte) error {
	var content map[string]any
	if err := util.Unmarshal(text, &content); err != nil {
		return core.Errorf(core.ErrInvalid, "%s is not an object in JSON or YAML", name).Because(err)
	}
	if folder := path.Dir(name); folder != "." {
		parts := strings.Split(folder, "/")
		for i := len(parts) - 1; i >= 0; i-- {
			content = map[string]any{parts[i]: content}
		}
	}
	if set.Data == nil {
		set.Data = map[string]any{}
	}
	if twice := merge(set.Data, content); twice != "" {
		return core.Errorf(core.ErrInvalid, "%s says again what %q is, which another data file said", name, twice)
	}
	return nil
}

// merge adds members to an object. It returns the path of one that is there already, "" if all is well.
func merge(into, members map[string]any) string {
	for name, value := range members {
		held, taken := into[name]
		if !taken {
			into[name] = value
			continue
		}
		a, both := held.(map[string]any)
		b, objects := value.(map[string]any)
		if !both || !objects {
			return name
		}
		if below := merge(a, maps.Clone(b)); below != "" {
			return name + "." + below
		}
	}
	return ""
}
