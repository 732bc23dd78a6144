package source_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy/source"
)

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestADirectoryIsAnotherRevisionWhenAFileOfItIs(t *testing.T) {
	dir := t.TempDir()
	d := source.NewDirectory(dir)
	write(t, filepath.Join(dir, "authz.rego"), module)
	seen := map[string]bool{}
	for _, change := range []struct{ name, text string }{
		{"authz.rego", module}, {"authz.rego", module + "x := 1\n"}, {"teams/a.rego", "package teams\n"}, {"data.yaml", "a: 1"}, {"data.yaml", "a: 2"}, {"a_test.rego", "package t\n"},
	} {
		write(t, filepath.Join(dir, change.name), change.text)
		set, err := d.Read(t.Context())
		if err != nil || seen[set.Revision] || set.Revision == "" {
			t.Errorf("with %s %q it is %q, %v", change.name, change.text, set.Revision, err)
		}
		seen[set.Revision] = true
		if again, err := d.Read(t.Context()); err != nil || again.Revision != set.Revision {
			t.Errorf("read again it is %q, %v", again.Revision, err)
		}
	}
}

func TestAFolderThatIsMountedAsALinkIsFollowed(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "..2026_01_01", "sub", "authz.rego"), module)
	for link, to := range map[string]string{"..data": "..2026_01_01", "sub": "..data/sub"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	set, err := source.NewDirectory(dir).Read(t.Context())
	if err != nil || len(set.Modules) != 1 || set.Modules["sub/authz.rego"] != module {
		t.Errorf("it holds %v, %v", set.Modules, err)
	}
	if err := os.Symlink(".", filepath.Join(dir, "around")); err != nil {
		t.Fatal(err)
	}
	_, err = source.NewDirectory(dir).Read(t.Context())
	refused(t, err, core.ErrInvalid, "folders in each other")
}

func TestADirectoryIsNotTakenWhileItIsBeingWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		name := filepath.Join(dir, "authz.rego")
		write(t, name, "package half")
		time.AfterFunc(30*time.Millisecond, func() { write(t, name, module) })
		set, err := source.NewDirectory(dir).Read(t.Context())
		if err != nil || set.Modules["authz.rego"] != module {
			t.Errorf("it holds %v, %v", set.Modules, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		write(t, name, "package half")
		_, err = source.NewDirectory(dir).Read(ctx)
		refused(t, err, core.ErrUnavailable, "not read to the end")
	})
}
