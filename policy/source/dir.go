package source

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"strings"

	"github.com/open-policy-agent/opa/v1/util"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
)

// ReadDir reads a set from a directory: every .rego file in it and below, named by its path, and what data.json or
// data.yaml say, put under the path of the folder they stand in. Names that begin with a dot are passed over, and with
// them what Kubernetes puts beside the files of a mounted ConfigMap.
func ReadDir(dir string) (policy.Set, error) {
	set, err := ReadFS(os.DirFS(dir))
	var e *core.Error
	switch {
	case err == nil:
		return named(set), nil
	case errors.As(err, &e):
		return policy.Set{}, err
	}
	return policy.Set{}, core.Errorf(core.ErrInvalid, "Policy directory %s cannot be read", dir).Because(err)
}

// ReadFS is ReadDir of a file system.
func ReadFS(files fs.FS) (policy.Set, error) {
	r := reader{files: files, set: policy.Set{Modules: map[string]string{}}}
	if err := r.folder(".", 0); err != nil {
		return policy.Set{}, err
	}
	if len(r.set.Modules) == 0 {
		return policy.Set{}, core.Errorf(core.ErrInvalid, "Policy directory holds no .rego file")
	}
	return r.set, nil
}

// How deep folders may lie, and how many there may be: a link may lead to a folder around it.
const (
	maxDepth   = 16
	maxFolders = 1000
)

// reader gathers a set. It follows links, to folders too: Kubernetes mounts the folders of a ConfigMap as such.
type reader struct {
	files   fs.FS
	set     policy.Set
	size    int
	folders int
}

func (r *reader) folder(name string, depth int) error {
	if depth > maxDepth {
		return core.Errorf(core.ErrInvalid, "Policy directory has more than %d folders in each other at %s", maxDepth, name)
	}
	if r.folders++; r.folders > maxFolders {
		return core.Errorf(core.ErrInvalid, "Policy directory has more than %d folders", maxFolders)
	}
	entries, err := fs.ReadDir(r.files, name)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		full := path.Join(name, entry.Name())
		info, err := fs.Stat(r.files, full)
		switch {
		case err != nil:
			return err
		case info.IsDir():
			err = r.folder(full, depth+1)
		case path.Ext(full) == ".rego" || entry.Name() == "data.json" || entry.Name() == "data.yaml":
			err = r.file(full)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) file(name string) error {
	file, err := r.files.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, int64(MaxBytes-r.size)+1))
	if err != nil {
		return err
	}
	if r.size += len(text); r.size > MaxBytes || len(r.set.Modules) >= policy.MaxModules {
		return core.Errorf(core.ErrTooLarge, "Policy directory holds more than %d bytes or %d files of Rego and data", MaxBytes, policy.MaxModules)
	}
	if path.Ext(name) != ".rego" {
		return addData(&r.set, name, text)
	}
	r.set.Modules[name] = string(text)
	return nil
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
