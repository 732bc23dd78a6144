package services

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Postgres is a PostgreSQL server that waits for the disk at every commit, as one in production does.
type Postgres struct {
	mu        sync.Mutex
	server    postgresServer
	databases atomic.Int64
}

// postgresServer is where the server runs: local programs, or a container.
type postgresServer interface {
	server
	// replica makes a streaming replica of the running server in a place of its own. It is not started.
	replica(t testing.TB) postgresServer
	// program is a client program of its version, run by whoever runs the test.
	program(name string, args ...string) *exec.Cmd
	// host is where clients find it: a directory of sockets, or host:port.
	host() string
}

// StartPostgres starts a server on an empty cluster and waits until it serves. It ends with the test. A server for each
// top-level test and a Database for each of its subtests is cheap.
func StartPostgres(t testing.TB) *Postgres {
	t.Helper()
	p := &Postgres{server: newContainerPostgres(t, initPostgres)}
	if p.server == nil {
		p.server = newLocalPostgres(t)
	}
	p.begin(t)
	return p
}

func (p *Postgres) begin(t testing.TB) {
	t.Helper()
	p.server.start(t)
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.server.kill(t)
	})
	p.await(t)
}

// URL is the connection string of a database, as the server's superuser. Options are such as "pool_max_conns=3".
func (p *Postgres) URL(database string, options ...string) string {
	return postgresURL([]string{p.server.host()}, database, options)
}

// Address is where the server listens: the network and the address that net.Dial takes.
func (p *Postgres) Address() (network, address string) {
	if host := p.server.host(); !filepath.IsAbs(host) {
		return "tcp", host
	}
	return "unix", filepath.Join(p.server.host(), ".s.PGSQL.5432")
}

func postgresURL(hosts []string, database string, options []string) string {
	if !filepath.IsAbs(hosts[0]) {
		options = append([]string{"sslmode=disable"}, options...)
	}
	if len(hosts) == 1 && !filepath.IsAbs(hosts[0]) {
		return "postgres://postgres@" + hosts[0] + "/" + database + "?" + strings.Join(options, "&")
	}
	names, ports := make([]string, len(hosts)), make([]string, len(hosts))
	for i, host := range hosts {
		names[i], ports[i] = host, "5432" // a directory's socket has a port in its name
		if name, port, err := net.SplitHostPort(host); err == nil {
			names[i], ports[i] = name, port
		}
	}
	query := append([]string{"host=" + url.QueryEscape(strings.Join(names, ",")), "port=" + strings.Join(ports, ",")}, options...)
	return "postgres://postgres@/" + database + "?" + strings.Join(query, "&")
}

// Database makes an empty database and returns its name.
func (p *Postgres) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", p.databases.Add(1))
	p.Exec(t, "postgres", "CREATE DATABASE "+name)
	return name
}

// Exec runs statements as the superuser, in a connection of their own.
func (p *Postgres) Exec(t testing.TB, database, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// Cut ends every connection to a database, as pg_terminate_backend does.
func (p *Postgres) Cut(t testing.TB, database string) {
	t.Helper()
	p.Exec(t, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = '"+database+"'")
}

// Kill is kill -9 of the server and all its backends.
func (p *Postgres) Kill(t testing.TB) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server.kill(t)
}

// Start starts a killed server on what the old one left, and waits until it serves.
func (p *Postgres) Start(t testing.TB) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server.start(t)
	p.await(t)
}

// Restart is Kill and Start.
func (p *Postgres) Restart(t testing.TB) {
	t.Helper()
	p.Kill(t)
	p.Start(t)
}

// Pause stops the server and all its backends where they stand, until Resume.
func (p *Postgres) Pause(t testing.TB) { t.Helper(); p.server.pause(t) }

// Resume lets a paused server go on.
func (p *Postgres) Resume(t testing.TB) { t.Helper(); p.server.resume(t) }

// Replica starts a streaming replica and waits until it serves reads. It ends with the test.
func (p *Postgres) Replica(t testing.TB) *Postgres {
	t.Helper()
	r := &Postgres{server: p.server.replica(t)}
	r.begin(t)
	return r
}

// Promote makes a replica a server that takes writes.
func (p *Postgres) Promote(t testing.TB) { t.Helper(); p.Exec(t, "postgres", "SELECT pg_promote()") }

// Either is the connection string for whichever of two servers takes writes.
func (p *Postgres) Either(other *Postgres, database string, options ...string) string {
	return postgresURL([]string{p.server.host(), other.server.host()}, database, options)
}

// await asks until the server answers.
func (p *Postgres) await(t testing.TB) {
	t.Helper()
	until(t, "PostgreSQL does not serve", func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, p.URL("postgres"))
		if err == nil {
			_ = conn.Close(ctx)
		}
		return err
	})
}
