package seal

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/conformance"
	"github.com/dynconfig/dynconfig/core"
)

func TestMain(m *testing.M) { conformance.VerifyMain(m) }

func newKeyset(t testing.TB) *Keyset {
	t.Helper()
	k, err := LoadOrCreate(filepath.Join(t.TempDir(), "keyset.json"), true)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sealed opens sealed stores in memory, and further handles on them.
func sealed(t testing.TB) (conformance.Opener, conformance.Options) {
	k := newKeyset(t)
	bare := func(b *core.Backend) *memory.Store { return b.Store.(*sealedStore).Store.(*memory.Store) }
	open := func(testing.TB) *core.Backend { return Backend(memory.Open(memory.Options{Shared: true}), k) }
	return open, conformance.Options{
		Peer: func(_ testing.TB, b *core.Backend) *core.Backend { return Backend(bare(b).Peer(), k) },
	}
}

func TestConformance(t *testing.T) {
	open, o := sealed(t)
	conformance.Run(t, open, o)
}

func TestModel(t *testing.T) {
	open, o := sealed(t)
	conformance.RunModel(t, open, o)
}

func put(key core.Key, value string) core.Txn {
	return core.Txn{Meta: core.Meta{ID: string(key)}, Ops: []core.Op{{Key: key, Do: core.OpPut, Doc: core.Doc{Value: []byte(value)}}}}
}

// stored is a sealed store with one entry, and the bare store beneath.
func stored(t *testing.T) (core.Store, core.Store) {
	t.Helper()
	b := memory.Open(memory.Options{})
	t.Cleanup(func() { _ = b.Close() })
	s := Store(b.Store, newKeyset(t))
	if _, err := s.Commit(t.Context(), put("a", "plaintext")); err != nil {
		t.Fatal(err)
	}
	return s, b.Store
}

func TestNoValueIsReadableBelow(t *testing.T) {
	_, bare := stored(t)
	commits, err := bare.Log(t.Context(), 0, 10)
	if err != nil || len(commits) != 1 {
		t.Fatalf("got %d commits and %v, want one", len(commits), err)
	}
	if v := commits[0].Changes[0].Entry.Doc.Value; v == nil || bytes.Contains(v, []byte("plaintext")) {
		t.Errorf("the store holds %q, want it sealed", v)
	}
}

func TestAValueUnderAnotherKeyDoesNotOpen(t *testing.T) {
	s, bare := stored(t)
	page, err := bare.Get(t.Context(), []core.Key{"a"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bare.Commit(t.Context(), put("b", string(page.Entries[0].Doc.Value))); err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func(ctx context.Context) error{
		"Get":     func(ctx context.Context) error { _, err := s.Get(ctx, []core.Key{"b"}, 0); return err },
		"List":    func(ctx context.Context) error { _, err := s.List(ctx, core.Query{}); return err },
		"Log":     func(ctx context.Context) error { _, err := s.Log(ctx, 0, 10); return err },
		"History": func(ctx context.Context) error { _, err := s.History(ctx, "b", 0, 1); return err },
		"Commit":  func(ctx context.Context) error { _, err := s.Commit(ctx, put("b", "other")); return err },
	} {
		if err := read(t.Context()); !errors.Is(err, core.ErrInternal) || strings.Contains(err.Error(), "plaintext") {
			t.Errorf("%s: got %v, want an internal error that names no content", name, err)
		}
	}
	if _, err := s.List(t.Context(), core.Query{NoValue: true}); err != nil {
		t.Errorf("a page without values: %v", err)
	}
}

func TestARepeatedCommitIsOpened(t *testing.T) {
	s, _ := stored(t)
	c, err := s.Commit(t.Context(), put("a", "another try"))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(c.Changes[0].Entry.Doc.Value); got != "plaintext" {
		t.Errorf("got %q, want the value of the first commit", got)
	}
}

func TestAnUnsafeKeysetIsRefused(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	if _, err := LoadOrCreate(path("good"), true); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path("good"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a new keyset has mode %v (%v), want 0600", info.Mode(), err)
	}
	text, err := os.ReadFile(path("good"))
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]struct {
		text []byte
		mode os.FileMode
	}{"open": {text, 0o640}, "broken": {[]byte("{"), 0o600}, "empty": {nil, 0o600}} {
		if err := errors.Join(os.WriteFile(path(name), f.text, 0o600), os.Chmod(path(name), f.mode)); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"open":      "Keyset " + path("open") + " may be read or written by others (mode 0640): it must have mode 0600",
		"broken":    "Keyset " + path("broken") + " is not a Tink keyset in JSON",
		"empty":     "Keyset " + path("empty") + " is not a Tink keyset in JSON",
		"missing":   "Keyset " + path("missing") + " is missing, and the store holds values that were sealed with it",
		"none/file": "Keyset " + path("none/file") + " is missing, and the store holds values that were sealed with it",
	} {
		_, err := LoadOrCreate(path(name), false)
		var public *core.Error
		if !errors.As(err, &public) || public.Detail != want {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	if _, err := LoadOrCreate(path("none/file"), true); !errors.Is(err, core.ErrInvalid) {
		t.Errorf("a keyset that cannot be written: got %v", err)
	}
}

func TestAKeysetOpensWhatItSealedBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyset.json")
	first, err := LoadOrCreate(path, true)
	if err != nil {
		t.Fatal(err)
	}
	text, err := first.Seal([]byte("plain"), []byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := LoadOrCreate(path, true)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := second.Open(text, []byte("key")); err != nil || string(plain) != "plain" {
		t.Errorf("got %q and %v", plain, err)
	}
}
