package starter_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/open-policy-agent/opa/v1/format"

	"github.com/dynconfig/dynconfig/policy"
	"github.com/dynconfig/dynconfig/policy/source"
	"github.com/dynconfig/dynconfig/policy/starter"
)

// directory is the starter with some examples, as a directory would hold it.
func directory(t *testing.T, examples ...string) fstest.MapFS {
	t.Helper()
	files, err := starter.Files(func(name string) bool { return slices.Contains(examples, name) })
	if err != nil {
		t.Fatal(err)
	}
	dir := fstest.MapFS{}
	for name, text := range files {
		dir[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return dir
}

func options() policy.CompileOptions { return policy.CompileOptions{Admins: []string{"admin-user"}} }

// passes demands that a starter compiles, is spelled right, and that its tests pass and cover it.
func passes(t *testing.T, dir fstest.MapFS) policy.Tested {
	t.Helper()
	set, err := source.ReadFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	found, err := policy.Lint(t.Context(), set, options(), nil)
	if err != nil || len(found.Faults) > 0 {
		t.Errorf("lint: %v, %v", found.Faults, err)
	}
	tested, err := policy.Test(t.Context(), set, policy.TestOptions{CompileOptions: options(), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range tested.Failed {
		t.Errorf("%s: %s: %s", f.Location, f.Test, f.Message)
	}
	return tested
}

func TestStarterPassesItsOwnTestsAndTheyCoverIt(t *testing.T) {
	tested := passes(t, directory(t, starter.Examples()...))
	if tested.Passed < 30 || tested.Coverage < 95 {
		t.Errorf("%d tests cover %v percent: %+v", tested.Passed, tested.Coverage, tested.Files)
	}
}

func TestEachExampleCanGoOrStayByItself(t *testing.T) {
	passes(t, directory(t))
	for _, name := range starter.Examples() {
		kept := []string{name}
		if name == "break_glass" { // its tests show that freeze gives way
			kept = append(kept, "freeze")
		}
		t.Run(name, func(t *testing.T) {
			passes(t, directory(t, kept...))
			if name != "freeze" {
				passes(t, directory(t, slices.DeleteFunc(starter.Examples(), func(n string) bool { return n == name })...))
			}
		})
	}
}

func TestStarterLocksNobodyOut(t *testing.T) {
	set, err := source.ReadFS(directory(t, starter.Examples()...))
	if err != nil {
		t.Fatal(err)
	}
	a, err := policy.New(t.Context(), policy.Options{Admins: []string{"admin-user"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Check(t.Context(), set, nil); err != nil {
		t.Error(err)
	}
}

func TestStarterIsFormatted(t *testing.T) {
	for name, file := range directory(t, starter.Examples()...) {
		if !strings.HasSuffix(name, ".rego") {
			continue
		}
		if formatted, err := format.Source(name, file.Data); err != nil || string(formatted) != string(file.Data) {
			t.Errorf("%s is not as opa fmt writes it: %v", name, err)
		}
	}
}

func TestReadmeNamesEveryFile(t *testing.T) {
	dir := directory(t, starter.Examples()...)
	readme := string(dir["README.md"].Data)
	for name := range dir {
		folder, _, below := strings.Cut(name, "/")
		if strings.HasSuffix(name, "_test.rego") || name == "README.md" || below && strings.Contains(readme, "`"+folder+"/`") {
			continue
		}
		if !strings.Contains(readme, "`"+name+"`") {
			t.Errorf("README.md does not name %s", name)
		}
	}
}
