package postgres

import (
	"context"
	"hash/fnv"
	"maps"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dynconfig/dynconfig/core"
)

// Defaults of what a connection string may say otherwise.
const (
	defaultConnections      = 10
	defaultConnectTimeout   = 5 * time.Second
	defaultStatementTimeout = "5s"
	// A node that stands still, or has vanished, in the middle of a commit must not keep the lock from the others.
	defaultIdleTimeout = "2s"
)

// configure reads a connection string: a URL or keywords and values, as libpq takes them, with the pool's settings among
// its parameters. An error never shows the string, which may hold a password.
func configure(text string) (*pgxpool.Config, error) {
	c, err := pgxpool.ParseConfig(text)
	if err != nil {
		return nil, core.Errorf(core.ErrInvalid, "POSTGRES_URL is not a valid connection string%s", reasonOf(err))
	}
	if !strings.Contains(text, "pool_max_conns") {
		c.MaxConns = defaultConnections
	}
	conn := c.ConnConfig
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = defaultConnectTimeout
	}
	settings := map[string]string{
		"application_name": "dynconfig", "statement_timeout": defaultStatementTimeout,
		"idle_in_transaction_session_timeout": defaultIdleTimeout,
	}
	maps.Copy(settings, planning())
	for name, value := range settings {
		if _, set := conn.RuntimeParams[name]; !set {
			conn.RuntimeParams[name] = value
		}
	}
	chosen := conn.ValidateConnect // by target_session_attrs
	conn.ValidateConnect = func(ctx context.Context, c *pgconn.PgConn) error {
		if chosen != nil {
			if err := chosen(ctx, c); err != nil {
				return err
			}
		}
		return inspect(ctx, c)
	}
	return c, nil
}

// planning makes every statement go by an index and look up row by row, with a plan that is made once: whatever the planner
// would guess of tables that were empty when it looked.
func planning() map[string]string {
	return map[string]string{
		"plan_cache_mode": "force_generic_plan", "jit": "off",
		"enable_seqscan": "off", "enable_bitmapscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off",
	}
}

// reasonOf tells which part of a connection string is wrong, in words that are not the string's own.
func reasonOf(err error) string {
	_, reason, _ := strings.Cut(err.Error(), "`: ") // the string comes first
	for _, known := range []struct{ word, part string }{
		{"sslmode", "sslmode"},
		{"CA file", "sslrootcert"},
		{"TLS", "sslcert, sslkey and sslrootcert"},
		{"pool_", "the pool's settings (pool_max_conns …)"},
		{"connect_timeout", "connect_timeout"},
		{"target_session_attrs", "target_session_attrs"},
		{"port", "the port"},
	} {
		if strings.Contains(reason, known.word) {
			return ": look at " + known.part
		}
	}
	return ""
}

// address says where a database is, for people.
func address(c *pgx.ConnConfig) string {
	if strings.HasPrefix(c.Host, "/") {
		return c.Host
	}
	return net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
}

// facts are what a connection finds at its other end.
type facts struct {
	lineage string // changes when the database may have lost commits: a failover, a restored dump, another cluster
	durable string // what makes commits less than durable; empty if nothing does
	unicode bool   // the database's encoding is UTF-8
}

// factsKey is where a connection keeps its facts.
const factsKey = "dynconfig"

func factsOf(c *pgx.Conn) facts {
	f, _ := c.PgConn().CustomData()[factsKey].(facts)
	return f
}

// The cluster, the database in it and the timeline of its log are one history: a replica that takes over begins another
// timeline, a dump is restored into another database. A replica is never read, because it lags.
const inspectSQL = `SELECT pg_is_in_recovery(),
    (SELECT system_identifier FROM pg_control_system()) || '/' || (SELECT oid FROM pg_database WHERE datname = current_database()) || '/' ||
        CASE WHEN pg_is_in_recovery() THEN '' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END,
    concat_ws(', ', 'fsync=' || nullif(current_setting('fsync'), 'on'),
        'synchronous_commit=' || CASE WHEN current_setting('synchronous_commit') = 'off' THEN 'off' END,
        'full_page_writes=' || nullif(current_setting('full_page_writes'), 'on')),
    current_setting('server_encoding') = 'UTF8'`

// inspect finds the facts of a new connection, and refuses one to a replica: the next host of the connection string is
// then tried.
func inspect(ctx context.Context, c *pgconn.PgConn) error {
	r := c.ExecParams(ctx, inspectSQL, nil, nil, nil, nil).Read()
	if r.Err != nil {
		return r.Err
	}
	row := r.Rows[0]
	if string(row[0]) == "t" {
		return unavailable("Database is a replica that takes no writes", nil)
	}
	sum := fnv.New64a()
	sum.Write(row[1])
	c.CustomData()[factsKey] = facts{
		lineage: strconv.FormatUint(sum.Sum64(), 36), durable: string(row[2]), unicode: string(row[3]) == "t",
	}
	return nil
}
