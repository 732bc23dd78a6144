package main

import (
	"bytes"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dynconfig/dynconfig/backends/memory"
	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/core/seal"
)

// holding returns the files below dir that hold a text.
func holding(t *testing.T, dir, text string) (files []string, read int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if read++; bytes.Contains(content, []byte(text)) {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, read
}

func TestNoValueIsReadableInTheDataDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := startProcess(t, dir, "--log-level", "debug")
	c := clientOf(t, server.URL, tokenOf(t, dir, "admin-user"))
	const secret = "tHe-quIck-brOwn-sEcret"
	large := strings.Repeat(secret, 20_000)
	for key, value := range map[string]string{"app.small": secret, "app.large": large, "app.deleted": secret} {
		if _, err := c.Put(t.Context(), key, value, client.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Delete(t.Context(), "app.deleted", client.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	server.end(syscall.SIGTERM)
	if files, read := holding(t, dir, secret); len(files) > 0 || read < 3 {
		t.Errorf("%q of %d files hold the value", files, read)
	}
	if files, _ := holding(t, dir, "app.small"); len(files) == 0 {
		t.Error("no file holds the key: this test looks in the wrong place")
	}
	if strings.Contains(server.log.String(), secret) {
		t.Error("the log holds the value")
	}
	info, err := os.Stat(filepath.Join(dir, "data", keysetFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("keyset: %v, %v; want mode 0600", info, err)
	}
	server = startProcess(t, dir)
	item, err := clientOf(t, server.URL, tokenOf(t, dir, "admin-user")).Get(t.Context(), "app.large", client.GetOptions{})
	if err != nil || string(item.Value) != `"`+large+`"` {
		t.Errorf("after a restart the value has %d bytes, %v", len(item.Value), err)
	}
}

func TestAKeysetThatIsGoneOrDoesNotFitStopsTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, stop, err := startServer(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := clientOf(t, s.URL, issued(t, s, "admin-user"))
	if _, err := c.Put(t.Context(), "a", 1, client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	own, other := filepath.Join(dir, keysetFile), filepath.Join(t.TempDir(), "other.json")
	if _, err := seal.LoadOrCreate(other, true); err != nil {
		t.Fatal(err)
	}
	refuses := func(want string, args ...string) {
		t.Helper()
		_, stop, err := startServer(dir, args...)
		if err == nil {
			_ = stop()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("start with %q: %v, want %q", args, err, want)
		}
	}
	refuses("the keyset does not fit", "--keyset", other)
	refuses("cannot be read", "--keyset", other+".not")
	if err := os.Chmod(own, 0o644); err != nil {
		t.Fatal(err)
	}
	refuses("may be read or written by others")
	if err := os.Remove(own); err != nil {
		t.Fatal(err)
	}
	refuses("is missing")
}

func TestASharedBackendWithoutAKeysetIsWarnedOfOrRefused(t *testing.T) {
	t.Parallel()
	open := func() *core.Backend {
		b := memory.Open(memory.Options{})
		b.Name = "etcd"
		return b
	}
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	plain := open()
	_, found, err := sealed(t.Context(), plain, Settings{}, logger)
	if err != nil || found.health != core.Degraded || !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("got %q, %v, log %q; want degraded and a warning", found.health, err, log.String())
	}
	if _, _, err := sealed(t.Context(), plain, Settings{RequireEncryption: true}, logger); err == nil {
		t.Error("--require-encryption did not refuse")
	}
	file := filepath.Join(t.TempDir(), "keyset.json")
	if _, err := seal.LoadOrCreate(file, true); err != nil {
		t.Fatal(err)
	}
	behind, found, err := sealed(t.Context(), plain, Settings{RequireEncryption: true, Keyset: file}, logger)
	if err != nil || found.health != core.Healthy {
		t.Fatalf("with a keyset: %q, %v; want healthy", found.health, err)
	}
	put := core.Txn{Meta: core.Meta{ID: "1"}, Ops: []core.Op{{
		Key: core.MakeKey(core.DefaultEnv, core.KindKey, "a"), Do: core.OpPut, Doc: core.Doc{Value: []byte("1")},
	}}}
	if _, err := behind.Store.Commit(t.Context(), put); err != nil {
		t.Fatal(err)
	}
	if _, _, err := sealed(t.Context(), plain, Settings{}, logger); err == nil || !strings.Contains(err.Error(), "sealed values") {
		t.Errorf("sealed values without a keyset: %v, want a refusal", err)
	}
}
