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

func TestKill9DuringAMigrationLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stored(t, filepath.Join(dir, "data"), 1200)
	server := services.StartEtcd(t)
	front := newRelay(t)
	front.to(strings.TrimPrefix(server.Endpoint, "unix://"))
	to, err := etcd.Open(t.Context(), etcd.Config{Endpoints: []string{server.Endpoint}, Options: etcd.Options{Prefix: "moved/"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = to.Close() }()
	migrate := func() *exec.Cmd {
		return command(dir, "migrate", "--from", "embedded:data", "--to", "etcd://"+strings.TrimPrefix(front.URL, "http://")+"/moved")
	}
	r := rand.New(rand.NewPCG(1, 2))
	kills := 0
	for head := core.Revision(0); kills < 6; kills++ {
		next := head + 1 + core.Revision(r.IntN(150))
		c := migrate()
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = c.Wait(); close(ended) }()
		for head < next {
			if head, err = to.Store.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			select {
			case <-ended:
				t.Fatalf("the copy ended by itself at revision %d of the target", head)
			default:
			}
		}
		_ = c.Process.Kill()
		<-ended
	}
	out, err := migrate().Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("migrate: %s", exit.Stderr)
		}
		t.Fatal(err)
	}
	if lines := strings.Split(string(out), "\n"); len(lines) != 3 || strings.TrimPrefix(lines[0], "source") != strings.TrimPrefix(lines[1], "target") {
		t.Errorf("after %d kills the report is\n%s", kills, out)
	}
}
