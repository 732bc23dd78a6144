package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"

	"github.com/dynconfig/dynconfig/backends/etcd"
	"github.com/dynconfig/dynconfig/conformance"
	"github.com/dynconfig/dynconfig/core"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		child(dir)
		return
	}
	conformance.VerifyMain(m)
}

// settings for tests: a fresh data directory takes 2 MiB.
func settings() Options {
	return Options{WALSegmentBytes: 1 << 20, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)), unsynced: true}
}

// synced are settings with which a commit is on the disk before it is acknowledged.
func synced() Options {
	o := settings()
	o.unsynced = false
	return o
}

// openIn opens a store, which ends with the test at the latest. A benchmark's waits for the disk.
func openIn(t testing.TB, dir string) *core.Backend {
	t.Helper()
	o := settings()
	if _, measures := t.(*testing.B); measures {
		o = synced()
	}
	b, err := Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// directories remembers where a backend's store is.
type directories struct{ of sync.Map }

func (d *directories) open(t testing.TB) *core.Backend { return d.openIn(t, t.TempDir()) }

func (d *directories) openIn(t testing.TB, dir string) *core.Backend {
	b := openIn(t, dir)
	d.of.Store(b, dir)
	return b
}

func (d *directories) reopen(t testing.TB, b *core.Backend) *core.Backend {
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	dir, _ := d.of.Load(b)
	return d.openIn(t, dir.(string))
}

func TestConformance(t *testing.T) {
	var d directories
	conformance.Run(t, d.open, conformance.Options{Reopen: d.reopen})
}

func TestModel(t *testing.T) {
	var d directories
	conformance.RunModel(t, d.open, conformance.Options{Reopen: d.reopen})
}

func BenchmarkStore(b *testing.B) {
	var d directories
	conformance.Bench(b, d.open, conformance.Options{})
}

// Beside puts of the same size in the same etcd, in the same process.
func BenchmarkBeside(b *testing.B) {
	server, err := start(b.Context(), b.TempDir(), withDefaults(synced()))
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	client := v3client.New(server.Server)
	defer func() { _ = client.Close() }()
	backend, err := etcd.New(b.Context(), client, etcd.Options{Name: "embedded", Request: request, Limits: limits})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = backend.Close() }()
	conformance.BenchBeside(b, backend, func(ctx context.Context, i int, value []byte) error {
		_, err := client.Put(ctx, fmt.Sprint("bare/", i%10_000), string(value))
		return err
	})
}

// Two nodes on one server are more than a data directory offers, and show what one node alone cannot.
func TestLinearizable(t *testing.T) {
	shared := limits
	shared.Shared = true
	var keepers sync.Map
	node := func(t testing.TB) *core.Backend {
		b, k, err := open(t.Context(), t.TempDir(), withDefaults(settings()))
		if err != nil {
			t.Fatal(err)
		}
		b.Limits = shared
		keepers.Store(b, k)
		return b
	}
	peer := func(t testing.TB, b *core.Backend) *core.Backend {
		k, _ := keepers.Load(b)
		p, err := etcd.New(t.Context(), k.(*keeper).client, etcd.Options{Request: request, Limits: shared})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	conformance.RunLinearizable(t, node, conformance.Options{Peer: peer})
}

func TestASecondProcessGetsAClearErrorAtOnce(t *testing.T) {
	dir := t.TempDir()
	b := openIn(t, dir)
	_, err := Open(t.Context(), dir, settings())
	wantDetail(t, err, "Data directory "+dir+" is in use by another process")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := openIn(t, dir).Close(); err != nil {
		t.Errorf("after the first has ended: %v", err)
	}
}

func TestADirectoryThatCannotBeWrittenGetsAClearError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), filepath.Join(file, "data"), settings())
	wantDetail(t, err, "Data directory "+filepath.Join(file, "data")+" cannot be written: not a directory")
}

func TestAStoreThatCannotBeReadGetsAClearError(t *testing.T) {
	dir := t.TempDir()
	snap := filepath.Join(dir, "store", "member", "snap")
	if err := os.MkdirAll(snap, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(snap, "db"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), dir, settings())
	wantDetail(t, err, "Store in "+filepath.Join(dir, "store")+" does not start: its files cannot be read or written")
}

func wantDetail(t *testing.T, err error, want string) {
	t.Helper()
	var public *core.Error
	if !errors.As(err, &public) || public.Detail != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestNobodyElseMayReadTheStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	openIn(t, dir)
	for _, d := range []string{dir, filepath.Join(dir, "store")} {
		info, err := os.Stat(d)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o700 {
			t.Errorf("%s has mode %v, want 0700", d, mode)
		}
	}
}

func TestAFreshStoreIsSmall(t *testing.T) {
	dir := t.TempDir()
	openIn(t, dir)
	var size int64
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(path, ".tmp") {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) { // it is gone since the directory was read
			return nil
		}
		if err == nil {
			size += info.Sys().(*syscall.Stat_t).Blocks * 512 // the database file has holes
		}
		return err
	})
	if err != nil || size > 4<<20 {
		t.Errorf("a fresh directory takes %d bytes (%v), want at most 4 MiB", size, err)
	}
}
