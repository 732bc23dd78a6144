package services

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// upsertScript is what pgbench does: single-row upserts of values of 200 bytes, each in a transaction of its own.
const upsertScript = `\set k random(1, 10000)
INSERT INTO upserts VALUES ('bench.' || :k, repeat('v', 200)::bytea, 1)
ON CONFLICT (k) DO UPDATE SET v = excluded.v, n = upserts.n + 1;
`

// Upserts has pgbench make single-row upserts with that many clients, and returns how many a second: what a server of this
// machine is worth, to measure a backend beside.
func (p *Postgres) Upserts(t testing.TB, clients int, d time.Duration) (perSecond float64) {
	t.Helper()
	database := p.Database(t)
	p.Exec(t, database, `CREATE TABLE upserts (k text COLLATE "C" PRIMARY KEY, v bytea, n bigint)`)
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte(upsertScript), 0o600); err != nil {
		t.Fatal(err)
	}
	// As whoever runs the test: pgbench is only a client.
	out, err := p.server.program("pgbench", "--no-vacuum", "--file="+script, "--client="+strconv.Itoa(clients), "--jobs=2",
		fmt.Sprintf("--time=%.0f", max(1, d.Seconds())), "--protocol=prepared", p.URL(database)).CombinedOutput()
	if err != nil {
		t.Fatalf("pgbench: %v\n%s", err, out)
	}
	tps := regexp.MustCompile(`tps = ([0-9.]+)`).FindSubmatch(out)
	if tps == nil {
		t.Fatalf("pgbench tells no figure:\n%s", out)
	}
	perSecond, err = strconv.ParseFloat(string(tps[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return perSecond
}
