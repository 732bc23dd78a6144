package services

import (
	"os/exec"
	"path/filepath"
	"testing"
)

var _ postgresServer = (*containerPostgres)(nil)

// containerPostgres is a server in a container.
type containerPostgres struct{ *container }

const (
	// initPostgres makes a cluster as the local one is, unless there is one, and admits every client.
	initPostgres = `[ -s "$PGDATA/PG_VERSION" ] || {
	initdb --username=postgres --auth=trust --encoding=UTF8 --locale=C --wal-segsize=1 --no-sync
	printf 'host all all all trust\nhost replication all all trust\n' >> "$PGDATA/pg_hba.conf"
}
`
	// copyPostgres makes a replica of the server whose address is $1, unless there is one.
	copyPostgres = `[ -s "$PGDATA/PG_VERSION" ] || pg_basebackup --pgdata="$PGDATA" --host="$1" --username=postgres \
	--write-recovery-conf --checkpoint=fast --wal-method=stream --no-sync
`
	runPostgres = `exec postgres -c 'listen_addresses=*' -c max_connections=300 -c shared_buffers=32MB -c wal_keep_size=64MB \
	-c cluster_name=dynconfig-test
`
)

// newContainerPostgres returns nil where there is no container to be had.
func newContainerPostgres(t testing.TB, script string, args ...string) postgresServer {
	t.Helper()
	c := newContainer(t, container{
		Image: postgresImage, User: "postgres", Port: "5432/tcp",
		Command: append([]string{"sh", "-ec", script + runPostgres, "sh"}, args...),
	})
	if c == nil {
		return nil
	}
	return &containerPostgres{c}
}

func (p *containerPostgres) host() string { return p.address }

func (p *containerPostgres) replica(t testing.TB) postgresServer {
	t.Helper()
	r := newContainerPostgres(t, copyPostgres, p.inside)
	if r == nil {
		t.Fatal("the engine went away")
	}
	return r
}

// program is one of this machine, of whatever version it has.
func (p *containerPostgres) program(name string, args ...string) *exec.Cmd {
	return exec.Command(filepath.Join(findPostgres(), name), args...)
}
