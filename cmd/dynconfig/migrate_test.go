package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/backends/embedded"
	"github.com/dynconfig/dynconfig/backends/etcd"
	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

// stored is a source of n commits in a data directory, compacted in part.
func stored(t *testing.T, dir string, n int) {
	t.Helper()
	b, err := embedded.Open(t.Context(), dir, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	for i := range n {
		txn := core.Txn{Meta: core.Meta{Time: time.Unix(int64(i), 0), Author: "ann"}}
		for k := range 1 + i%3 {
			txn.Ops = append(txn.Ops, core.Op{
				Key: core.MakeKey(core.DefaultEnv, core.KindKey, fmt.Sprint("k", (i+k)%200)), Do: core.OpPut, Doc: core.Doc{Value: fmt.Append(nil, i)},
			})
		}
		if i%7 == 0 {
			txn.Ops[0].Do = core.OpDelete
		}
		if _, err := b.Store.Commit(t.Context(), txn); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Store.Compact(t.Context(), core.Revision(n/2), 10); err != nil {
		t.Fatal(err)
	}
}

// etcdAt starts an etcd and returns the URL of a prefix in it, what is there, and the way of that URL.
func etcdAt(t *testing.T, prefix string) (url string, b *core.Backend, way *relay) {
	t.Helper()
	server := services.StartEtcd(t)
	way = newRelay(t)
	way.to(strings.TrimPrefix(server.Endpoint, "unix://"))
	b, err := etcd.Open(t.Context(), etcd.Config{Endpoints: []string{server.Endpoint}, Options: etcd.Options{Prefix: prefix + "/"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return "etcd://" + strings.TrimPrefix(way.URL, "http://") + "/" + prefix, b, way
}

// migrated runs the command and demands that it succeeds.
func migrated(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := command(dir, append([]string{"migrate"}, args...)...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("migrate %q: %s", args, exit.Stderr)
		}
		t.Fatal(err)
	}
	return string(out)
}

func TestValuesStaySealedOnTheirWayAndPlainOnesAreSealedWhereTheyArrive(t *testing.T) {
	t.Parallel()
	const secret = "tHe-quIck-brOwn-sEcret"
	dir := t.TempDir()
	s, stop, err := startServer(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clientOf(t, s.URL, issued(t, s, "admin-user")).Put(t.Context(), "app.secret", secret, client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	sealedURL, sealedStore, _ := etcdAt(t, "sealed")
	migrated(t, dir, "--from", "embedded:data", "--to", sealedURL)
	key := core.MakeKey(core.DefaultEnv, core.KindKey, "app.secret")
	page, err := sealedStore.Store.Get(t.Context(), []core.Key{key}, 0)
	if err != nil || len(page.Entries) != 1 || strings.Contains(string(page.Entries[0].Doc.Value), secret) {
		t.Errorf("etcd holds %+v, %v", page.Entries, err)
	}
	migrated(t, dir, "--from", sealedURL, "--from-keyset", "data/keyset.json", "--to", "embedded:back")

	plainURL, plainStore, _ := etcdAt(t, "plain")
	op := core.Op{Key: key, Do: core.OpPut, Doc: core.Doc{Value: []byte(`"` + secret + `"`)}}
	if _, err := plainStore.Store.Commit(t.Context(), core.Txn{Ops: []core.Op{op}}); err != nil {
		t.Fatal(err)
	}
	migrated(t, dir, "--from", plainURL, "--to", "embedded:fresh")
	migrated(t, dir, "--from", plainURL, "--to", "embedded:fresh") // only compared, under the keyset that was made

	for _, name := range []string{"back", "fresh"} {
		if files, _ := holding(t, filepath.Join(dir, name), secret); len(files) > 0 {
			t.Errorf("the value is readable in %q", files)
		}
		s, stop, err := startServer(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		item, err := clientOf(t, s.URL, issued(t, s, "admin-user")).Get(t.Context(), "app.secret", client.GetOptions{})
		if err != nil || string(item.Value) != `"`+secret+`"` || item.Version != 1 {
			t.Errorf("%s serves %+v, %v", name, item, err)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKill9DuringAMigrationLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url, to, way := etcdAt(t, "moved")
	r := rand.New(rand.NewPCG(1, 2))
	const commits, kills = 1200, 6
	stored(t, filepath.Join(dir, "data"), commits)
	for range kills {
		shut, lift := way.hold(t, 20_000+r.Int64N(60_000))
		c := command(dir, "migrate", "--from", "embedded:data", "--to", url)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = c.Wait(); close(ended) }()
		select {
		case <-shut:
		case <-ended:
			t.Fatal("the copy ended by itself")
		}
		_ = c.Process.Kill()
		<-ended
		lift()
	}
	if head, err := to.Store.Sync(t.Context()); err != nil || head == 0 || head >= commits {
		t.Errorf("the last kill was at revision %d of the target, %v; want one within the copy", head, err)
	}
	out := migrated(t, dir, "--from", "embedded:data", "--to", url)
	if lines := strings.Split(out, "\n"); len(lines) != 3 || strings.TrimPrefix(lines[0], "source") != strings.TrimPrefix(lines[1], "target") {
		t.Errorf("after %d kills the report is\n%s", kills, out)
	}
}
