// Package embedded is the durable backend of one process: an etcd server inside it, without a listener, whose client is
// handed to backends/etcd. A write is on the disk before it is acknowledged.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"

	"github.com/dynconfig/dynconfig/backends/etcd"
	"github.com/dynconfig/dynconfig/core"
)

// Options are the backend's settings; the zero value works.
type Options struct {
	Logger *slog.Logger // hears etcd's warnings and errors; nil: nobody does
	// QuotaBytes bounds etcd's database file; 0: 8 GiB. From seven eighths of it on commits are refused.
	QuotaBytes int64
	// WALSegmentBytes is the size of a file of etcd's write-ahead log, allocated at once; 0: 8 MiB. It is etcd's own global
	// setting: the first Open of a process decides.
	WALSegmentBytes int64
	Now             func() time.Time // decides how long a Meta.ID is remembered; nil: time.Now

	// unsynced leaves it to the system when to write to the disk. It is for tests: etcd gives up what a busy disk does not
	// take within 5 s.
	unsynced bool
}

// Defaults of Options.
const (
	defaultQuota      = 8 << 30
	defaultWALSegment = 8 << 20
)

// limits of a transaction, and what the server takes at once. That is more: a value may stand in several records.
var (
	limits  = core.Limits{MaxOps: 1000, MaxBytes: 8 << 20, Durable: true}
	request = etcd.Request{Ops: 4 * limits.MaxOps, Bytes: 48 << 20}
)

// startTime bounds how long the server may take until it serves: it reads its log first.
const startTime = time.Minute

// Open starts the store in a directory, which is made if it does not exist. Only one process may have it open.
// Closing the backend stops the server.
func Open(ctx context.Context, dir string, o Options) (*core.Backend, error) {
	o = withDefaults(o)
	unlock, err := Lock(dir)
	if err != nil {
		return nil, err
	}
	b, _, err := open(ctx, dir, o)
	if err != nil {
		unlock()
		return nil, err
	}
	end := b.Close
	b.Close = sync.OnceValue(func() error {
		defer unlock()
		return end()
	})
	return b, nil
}

func withDefaults(o Options) Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.QuotaBytes == 0 {
		o.QuotaBytes = defaultQuota
	}
	if o.WALSegmentBytes == 0 {
		o.WALSegmentBytes = defaultWALSegment
	}
	return o
}

// Lock makes a data directory and takes it for this process, as Open does: for servers that keep their records in one, and
// their data elsewhere. etcd has a lock of its own, at which a second process would hang rather than fail.
func Lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unwritable(dir, err)
	}
	f, err := fileutil.TryLockFile(filepath.Join(dir, "LOCK"), os.O_RDWR|os.O_CREATE, 0o600)
	switch {
	case errors.Is(err, fileutil.ErrLocked):
		return nil, core.Errorf(core.ErrUnavailable, "Data directory %s is in use by another process", dir)
	case err != nil:
		return nil, unwritable(dir, err)
	}
	if err := note(f.File); err != nil {
		_ = f.Close()
		return nil, unwritable(dir, err)
	}
	return func() { _ = f.Close() }, nil
}

// note writes the process's id into its lock, for people who look for it.
func note(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := fmt.Fprintln(f, os.Getpid())
	return err
}

func unwritable(dir string, err error) error {
	reason := err
	var path *fs.PathError
	if errors.As(err, &path) {
		reason = path.Err
	}
	return core.Errorf(core.ErrUnavailable, "Data directory %s cannot be written: %v", dir, reason).Because(err)
}

func open(ctx context.Context, dir string, o Options) (*core.Backend, *keeper, error) {
	server, err := start(ctx, filepath.Join(dir, "store"), o)
	if err != nil {
		return nil, nil, err
	}
	client := v3client.New(server.Server)
	keeper := newKeeper(server.Server, client, o)
	keeper.defragmentIfHalfFree()
	keeper.disarm(ctx)
	b, err := etcd.New(ctx, client, etcd.Options{Name: "embedded", Request: request, Limits: limits, Now: o.Now, Refuse: keeper.full})
	if err != nil {
		_ = client.Close() // reports its own cancellation
		server.Close()
		return nil, nil, err
	}
	keeper.start()
	end := b.Close
	b.Close = func() error {
		err := end()
		keeper.stop()
		_ = client.Close()
		server.Close()
		return err
	}
	return b, keeper, nil
}

// start starts the server and waits until it serves.
func start(ctx context.Context, dir string, o Options) (*embed.Etcd, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unwritable(dir, err)
	}
	if err := probe(dir); err != nil {
		return nil, unreadable(dir, err)
	}
	setSegment(o.WALSegmentBytes)
	server, err := startServer(serverConfig(dir, o))
	if err != nil {
		return nil, unreadable(dir, err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	select {
	case <-server.Server.ReadyNotify():
		return server, nil
	case err = <-server.Err():
	case <-server.Server.StopNotify():
		err = errors.New("the server stopped")
	case <-ctx.Done():
		err = ctx.Err()
	}
	server.Close()
	return nil, core.Errorf(core.ErrUnavailable, "Store in %s does not start", dir).Because(err)
}

func unreadable(dir string, err error) error {
	return core.Errorf(core.ErrUnavailable, "Store in %s does not start: its files cannot be read or written", dir).Because(err)
}

// probe opens the database, if there is one: where it cannot, etcd would panic in a goroutine of its own.
func probe(dir string) error {
	path := filepath.Join(dir, "member", "snap", "db")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return err
	}
	return db.Close()
}

// startServer starts etcd, which panics where its files are damaged.
func startServer(c *embed.Config) (server *embed.Etcd, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("etcd gave up: %v", fault)
		}
	}()
	return embed.StartEtcd(c)
}
