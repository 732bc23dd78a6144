package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dynconfig/dynconfig/conformance/services"
)

// shared is Postgres and Redis, and the nodes on them.
type shared struct {
	host     host
	postgres *services.Postgres
	redis    *services.Redis
	database string
	nodes    []*child
}

func (s *shared) close() {
	for _, n := range s.nodes {
		n.stop()
	}
	s.host.close()
}

// startShared starts Postgres and Redis, once.
func (b *bencher) startShared(ctx context.Context) error {
	s := &b.shared
	if s.postgres != nil {
		return nil
	}
	s.host.ctx = ctx
	return s.host.try(func() {
		s.postgres, s.redis = services.StartPostgres(&s.host), services.StartRedis(&s.host)
		s.database = s.postgres.Database(&s.host)
	})
}

// node starts one more server on them, which takes the same tokens as the embedded one.
func (b *bencher) node() (*child, error) {
	n, err := b.on(b.shared.database)
	if err == nil {
		b.shared.nodes = append(b.shared.nodes, n)
	}
	return n, err
}

func (b *bencher) on(database string) (*child, error) {
	dir, err := os.MkdirTemp(b.dir, "node-")
	if err != nil {
		return nil, err
	}
	return start("dynconfig", ourURL, b.binary, "serve", "--listen", "127.0.0.1:0", "--data-dir", dir, "--rate-limit", "0",
		"--log-format", "json", "--issuer-key", filepath.Join(b.dir, "data", "issuer.pem"),
		"--postgres-url", b.shared.postgres.URL(database), "--redis-host", b.shared.redis.Addr)
}

// pair starts two nodes, once.
func (b *bencher) pair(ctx context.Context) (one, two *child, err error) {
	if err := b.startShared(ctx); err != nil {
		return nil, nil, err
	}
	for len(b.shared.nodes) < 2 {
		if _, err := b.node(); err != nil {
			return nil, nil, err
		}
	}
	return b.shared.nodes[0], b.shared.nodes[1], nil
}

// upsert is what pgbench does: the same value to a row of each client. A colon before a word would be a variable of its own.
var upsert = `INSERT INTO bare (key, value) VALUES ('bench.put.k' || :client_id, '` + strings.ReplaceAll(value, ":", ": ") + `')
ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = bare.version + 1;
`

var transactions = regexp.MustCompile(`tps = ([0-9.]+)`)

// putBesidePgbench writes through HTTP, beside single-row upserts by pgbench on the same Postgres.
func (b *bencher) putBesidePgbench(ctx context.Context) error {
	const writers = 64
	one, _, err := b.pair(ctx)
	if err != nil {
		return err
	}
	script := filepath.Join(b.dir, "upsert.sql")
	if err := os.WriteFile(script, []byte(upsert), 0o600); err != nil {
		return err
	}
	const table = `CREATE TABLE bare (key text COLLATE "C" PRIMARY KEY, value bytea NOT NULL, version bigint NOT NULL DEFAULT 1)`
	if err := b.shared.host.try(func() { b.shared.postgres.Exec(&b.shared.host, b.shared.database, table) }); err != nil {
		return err
	}
	seconds := max(1, int(b.slice/time.Second))
	var ours sample
	var rate float64
	for i := range b.turns + 1 {
		got, err := load(ctx, time.Duration(seconds)*time.Second, writers, side{one.host(), func(w int) []byte {
			return request("PUT", one.host(), fmt.Sprintf("/keys/bench.put.k%d", w), b.admin, value)
		}})
		if err != nil {
			return err
		}
		out, err := exec.CommandContext(ctx, "pgbench", "-n", "-M", "prepared", "-c", strconv.Itoa(writers), "-j", "2",
			"-T", strconv.Itoa(seconds), "-f", script, b.shared.postgres.URL(b.shared.database)).CombinedOutput()
		m := transactions.FindSubmatch(out)
		if err != nil || m == nil {
			first, _, _ := strings.Cut(string(out), "\n")
			return fmt.Errorf("pgbench: %w: %s", err, first)
		}
		if i == 0 { // warms up
			continue
		}
		ours.add(got)
		tps, _ := strconv.ParseFloat(string(m[1]), 64) // matched as a number
		rate += tps / float64(b.turns)
	}
	b.rows = append(b.rows, row{
		name: fmt.Sprintf("PUT on Postgres, %d writers", writers), than: "pgbench upserts, 64 clients", aim: ">= 70 %",
		ours: ours.cells(), other: [3]string{"", "", fmt.Sprintf("%.0f/s", rate)},
		ratio: fmt.Sprintf("%.0f %% of the rate", 100*ours.rate()/rate),
	})
	return nil
}
