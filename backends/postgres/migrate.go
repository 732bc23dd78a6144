package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"path"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/dynconfig/dynconfig/core"
)

// Migration is a step of the tables' layout.
type Migration struct {
	Version int64
	Name    string
	Applied time.Time // zero: not yet
}

const (
	versionTable = "dynconfig.migrations"
	// migrationLock is the advisory lock under which one node at a time upgrades a database: "dynconf" in ASCII.
	migrationLock = 0x64796e636f6e66
	migrationTime = 10 * time.Minute
)

// Upgrade brings a database's tables up to date and returns the steps that it took. Of several that try at once, one does
// it and the others wait.
func Upgrade(ctx context.Context, url string) ([]Migration, error) {
	c, err := configure(url)
	if err != nil {
		return nil, err
	}
	return withDB(c.ConnConfig, func(db *sql.DB) ([]Migration, error) { return upgrade(ctx, db) })
}

// Migrations lists the steps of the layout, and which of them a database has. It writes nothing.
func Migrations(ctx context.Context, url string) ([]Migration, error) {
	c, err := configure(url)
	if err != nil {
		return nil, err
	}
	return withDB(c.ConnConfig, func(db *sql.DB) ([]Migration, error) { return list(ctx, db) })
}

// prepareTables upgrades a database, or with Options.Manual demands that it is up to date.
func prepareTables(ctx context.Context, c *pgx.ConnConfig, o Options) error {
	_, err := withDB(c, func(db *sql.DB) ([]Migration, error) {
		all, err := list(ctx, db)
		if err != nil {
			return nil, err
		}
		pending := 0
		for _, m := range all {
			if m.Applied.IsZero() {
				pending++
			}
		}
		switch {
		case pending == 0:
			return nil, nil
		case o.Manual:
			return nil, core.Errorf(core.ErrUnavailable, "Tables of the database are not up to date: run `dynconfig db upgrade`")
		}
		done, err := upgrade(ctx, db)
		for _, m := range done {
			o.Logger.Info("upgraded the tables of the database", "to", m.Name)
		}
		return done, err
	})
	return err
}

// withDB lends a connection in the form that the library wants.
func withDB(c *pgx.ConnConfig, f func(db *sql.DB) ([]Migration, error)) ([]Migration, error) {
	c = c.Copy()
	for _, name := range []string{"statement_timeout", "idle_in_transaction_session_timeout"} {
		c.RuntimeParams[name] = "0" // a step may take its time
	}
	for name := range planning() {
		delete(c.RuntimeParams, name)
	}
	db := stdlib.OpenDB(*c)
	defer func() { _ = db.Close() }()
	m, err := f(db)
	return m, fault(err)
}

// steps returns the library over the steps of this program.
func steps(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
}

func upgrade(ctx context.Context, db *sql.DB) (done []Migration, err error) {
	ctx, cancel := context.WithTimeout(ctx, migrationTime)
	defer cancel()
	lock, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = cmp.Or(err, lock.Close()) }() // which gives the lock back, as the library's own connection is another one
	if _, err := lock.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		return nil, err
	}
	defer func() {
		_, bad := lock.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(migrationLock))
		err = cmp.Or(err, bad)
	}()
	if _, err := lock.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS dynconfig"); err != nil {
		return nil, err
	}
	p, err := steps(db)
	if err != nil {
		return nil, err
	}
	results, err := p.Up(ctx)
	for _, r := range results {
		if r.Error == nil {
			done = append(done, Migration{Version: r.Source.Version, Name: path.Base(r.Source.Path), Applied: time.Now().UTC()})
		}
	}
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		err = partial.Err
	}
	return done, err
}

func list(ctx context.Context, db *sql.DB) ([]Migration, error) {
	p, err := steps(db)
	if err != nil {
		return nil, err
	}
	var known []Migration
	for _, s := range p.ListSources() {
		known = append(known, Migration{Version: s.Version, Name: path.Base(s.Path)})
	}
	var exists bool
	if err := db.QueryRowContext(ctx, "SELECT to_regclass($1) IS NOT NULL", versionTable).Scan(&exists); err != nil || !exists {
		return known, err
	}
	status, err := p.Status(ctx)
	if err != nil {
		return nil, err
	}
	for i, s := range status {
		known[i].Applied = s.AppliedAt
	}
	newest, err := p.GetDBVersion(ctx)
	if err == nil && newest > known[len(known)-1].Version {
		err = core.Errorf(core.ErrUnavailable, "Tables of the database are of a later DynConfig: version %d, this one knows %d", newest, known[len(known)-1].Version)
	}
	return known, err
}
