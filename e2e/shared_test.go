package e2e

import (
	"net"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core/seal"
)

// backend is the services that the nodes of a test share: Postgres and Redis, each at the end of a line.
type backend struct {
	postgres   *services.Postgres
	database   string
	redis      *services.Redis
	toPostgres *line
	toRedis    *line
	env        []string // by which nodes find them
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{postgres: services.StartPostgres(t), redis: services.StartRedis(t)}
	b.database = b.postgres.Database(t)
	b.toPostgres, b.toRedis = newLine(t, b.postgresAddress(t)), newLine(t, b.redis.Addr)
	b.env = []string{"POSTGRES_URL=" + b.url(b.toPostgres), "REDIS_HOST=" + b.toRedis.Addr}
	return b
}

// postgresAddress is the server's socket, or host:port.
func (b *backend) postgresAddress(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(b.postgres.URL(b.database))
	if err != nil {
		t.Fatal(err)
	}
	if host := u.Query().Get("host"); filepath.IsAbs(host) {
		return filepath.Join(host, ".s.PGSQL.5432")
	} else if host != "" {
		return host
	}
	return u.Host
}

// url is the connection string of the database at the end of a line.
func (b *backend) url(l *line) string {
	host, port, _ := net.SplitHostPort(l.Addr)
	return "postgres://postgres@" + net.JoinHostPort(host, port) + "/" + b.database + "?sslmode=disable"
}

// keyset makes a keyset and returns its file, for nodes to share.
func keyset(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keyset.json")
	if _, err := seal.LoadOrCreate(file, true); err != nil {
		t.Fatal(err)
	}
	return file
}
