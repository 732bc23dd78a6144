package source_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy/source"
)

func files(texts map[string]string) fstest.MapFS {
	all := fstest.MapFS{}
	for name, text := range texts {
		all[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return all
}

func TestDirectoryIsReadWithItsFoldersAndData(t *testing.T) {
	set, err := source.ReadFS(files(map[string]string{
		"authz.rego": "package dynconfig.authz", "teams/a.rego": "package teams", "README.md": "no Rego", "schemas/input.json": "{}",
		"data.json": `{"teams":{"size":12345678901234567890},"on":true}`, "teams/data.yaml": "names: [a, b]", ".hidden/a.rego": "package {", ".b.rego": "package {",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"authz.rego": "package dynconfig.authz", "teams/a.rego": "package teams"}; !reflect.DeepEqual(set.Modules, want) {
		t.Errorf("got modules %v, want %v", set.Modules, want)
	}
	want := map[string]any{"on": true, "teams": map[string]any{"size": json.Number("12345678901234567890"), "names": []any{"a", "b"}}}
	if !reflect.DeepEqual(set.Data, want) {
		t.Errorf("got data %#v, want %#v", set.Data, want)
	}
}

func TestDirectoryThatIsNoPolicyIsRefusedWithASentence(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		kind  error
		says  string
	}{
		"empty":             {nil, core.ErrInvalid, "no .rego file"},
		"data that is none": {map[string]string{"a.rego": "package a", "data.json": "["}, core.ErrInvalid, "data.json is not an object"},
		"a list as data":    {map[string]string{"a.rego": "package a", "data.yaml": "- 1"}, core.ErrInvalid, "data.yaml is not an object"},
		"data said twice":   {map[string]string{"a.rego": "package a", "data.json": `{"a":{"b":1}}`, "a/data.json": `{"b":2}`}, core.ErrInvalid, `"a.b"`},
		"too much":          {map[string]string{"a.rego": strings.Repeat("#", source.MaxBytes+1)}, core.ErrTooLarge, "more than"},
	} {
		_, err := source.ReadFS(files(c.files))
		var e *core.Error
		if !errors.As(err, &e) || !errors.Is(err, c.kind) || !strings.Contains(e.Detail, c.says) {
			t.Errorf("%s: got %v, want %v with %q", name, err, c.kind, c.says)
		}
	}
	if _, err := source.ReadDir(filepath.Join(t.TempDir(), "none")); !errors.Is(err, core.ErrInvalid) {
		t.Errorf("a directory that is not there: got %v", err)
	}
}

func TestMountedConfigMapIsReadOnce(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "..2026_01_01")
	for _, err := range []error{
		os.Mkdir(real, 0o755), os.WriteFile(filepath.Join(real, "authz.rego"), []byte("package dynconfig.authz"), 0o600),
		os.Symlink("..2026_01_01", filepath.Join(dir, "..data")), os.Symlink("..data/authz.rego", filepath.Join(dir, "authz.rego")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	set, err := source.ReadDir(dir)
	if err != nil || len(set.Modules) != 1 || set.Modules["authz.rego"] == "" {
		t.Errorf("got %v, %v, want authz.rego alone", set.Modules, err)
	}
}

func TestFoldersThatLeadToEachOtherAreNotWalkedForEver(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		if err := os.Symlink(".", filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := source.ReadDir(dir); !errors.Is(err, core.ErrInvalid) || !strings.Contains(err.Error(), "folders") {
		t.Errorf("got %v", err)
	}
}
