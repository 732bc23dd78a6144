package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/conformance/services"
)

// program runs dynconfig in this process.
func program(args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = run(args, strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

func TestTheDatabaseIsUpgradedApartFromTheServers(t *testing.T) {
	t.Parallel()
	server := services.StartPostgres(t)
	url := server.URL(server.Database(t))
	var steps []stepLine
	read := func(args ...string) {
		t.Helper()
		code, out, errs := program(append(args, "--postgres-url", url, "-o", "json")...)
		steps = nil
		if err := json.Unmarshal([]byte(out), &steps); code != 0 || err != nil {
			t.Fatalf("%s: %d %s %s", args, code, out, errs)
		}
	}
	if read("db", "status"); len(steps) == 0 || steps[0].Taken != nil {
		t.Errorf("before the upgrade: %+v", steps)
	}
	pending := len(steps)
	code, _, errs := program("serve", "--postgres-url", url, "--postgres-migrate", "off", "--listen", "127.0.0.1:0", "--data-dir", t.TempDir())
	if want := "dynconfig: Tables of the database are not up to date: run `dynconfig db upgrade`\n"; code != 1 || errs != want {
		t.Errorf("a server that must not upgrade: %d %q, want %q", code, errs, want)
	}
	if read("db", "upgrade"); len(steps) != pending {
		t.Errorf("the upgrade took %+v, want %d steps", steps, pending)
	}
	if read("db", "upgrade"); len(steps) != 0 {
		t.Errorf("the second upgrade took %+v", steps)
	}
	if read("db", "status"); len(steps) != pending || steps[pending-1].Taken == nil {
		t.Errorf("after the upgrade: %+v", steps)
	}
	if _, out, _ := program("db", "status", "--postgres-url", url); !strings.Contains(out, "00001_store.sql") {
		t.Errorf("as a table: %q", out)
	}
	_, as := serving(t, "--postgres-url", url, "--postgres-migrate", "off")
	if _, err := as("admin-user").Put(t.Context(), "app.a", 1, client.WriteOptions{}); err != nil {
		t.Error(err)
	}
}

func TestNodesOnOnePostgresHearOfEachOther(t *testing.T) {
	t.Parallel()
	server := services.StartPostgres(t)
	db := server.Database(t)
	one, as := serving(t, "--postgres-url", server.URL(db))
	two, _ := serving(t, "--postgres-url", server.URL(db), "--issuer-key", filepath.Join(one.settings.DataDir, "issuer.pem"))
	admin := as("admin-user")
	_, changes := watched(t, clientOf(t, two.URL, issued(t, one, "admin-user")))
	for version := range int64(10) {
		if version == 5 {
			server.Cut(t, db)
		}
		if _, err := admin.Put(t.Context(), "app.a", version, client.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		if c := <-changes; c.Is == nil || c.Is.Version != version+1 {
			t.Errorf("the other node tells of %+v, want version %d", c.Is, version+1)
		}
	}
	if h, err := admin.Health(t.Context()); err != nil || h.Components["encryption"] != "degraded" {
		t.Errorf("without a keyset: health %+v, %v", h, err)
	}
}
