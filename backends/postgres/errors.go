package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dynconfig/dynconfig/core"
)

// Private causes that the backend itself acts on.
var (
	errRaced   = errors.New("other transactions were in the way") // nothing happened: try again
	errBefore  = errors.New("nothing was written")
	errData    = errors.New("the database refuses the data") // of one transaction of a batch
	errLineage = errors.New("the connection leads to another history")
)

// unavailable says that something may work later, or on another node.
func unavailable(detail string, cause error) error {
	return core.Errorf(core.ErrUnavailable, "%s", detail).Because(cause)
}

// fault turns what the driver says into one of our kinds. What is not known for certain to have failed is ErrUnavailable,
// so that the caller repeats it.
func fault(err error) error {
	var known *core.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || len(pg.Code) != 5 {
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return unavailable("Store does not answer in time", err)
		}
		return unavailable("Store does not answer", err)
	}
	switch pg.Code {
	case "40001", "40P01", "55P03": // serialization failure, deadlock, lock not available
		return unavailable("Store is too busy", errors.Join(errRaced, err))
	case "57014": // query canceled
		return unavailable("Store does not answer in time", err)
	case "25006": // read-only transaction
		return unavailable("Store takes no writes: the database is read-only", err)
	case "53100": // disk full
		return unavailable("Store is full: the database's disk has no space left", err)
	case "53300": // too many connections
		return unavailable("Database has no connection left: raise its max_connections or lower pool_max_conns", err)
	case "28000", "28P01", "3D000": // authorization, password, no such database
		return unavailable("Database refuses this server: "+pg.Message, err)
	case "42501": // insufficient privilege
		return unavailable("Database refuses this server's role: "+pg.Message, err)
	case "3F000", "42P01", "42703", "42883": // no schema, table, column or function
		return unavailable("Tables are missing: run `dynconfig db upgrade`", err)
	}
	switch pg.Code[:2] {
	case "54": // program limit exceeded
		return core.Errorf(core.ErrTooLarge, "Transaction is larger than the database takes").Because(err)
	case "22", "23": // data exception, integrity constraint
		return core.Errorf(core.ErrInvalid, "Transaction holds what the database cannot store").Because(errors.Join(errData, err))
	case "08", "25", "53", "57", "58", "XX": // connection, transaction state, resources, intervention, system, internal
		return unavailable("Store does not answer", err)
	}
	return unavailable("Database refuses a statement", err)
}
