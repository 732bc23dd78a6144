package postgres

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dynconfig/dynconfig/core"
)

func TestWhatTheDatabaseSaysBecomesAKindAndASentence(t *testing.T) {
	server := func(code string) error { return &pgconn.PgError{Code: code, Message: "said so"} }
	for _, c := range []struct {
		err    error
		kind   error
		detail string
	}{
		{server("53100"), core.ErrUnavailable, "Store is full: the database's disk has no space left"},
		{server("53300"), core.ErrUnavailable, "Database has no connection left"},
		{server("25006"), core.ErrUnavailable, "the database is read-only"},
		{server("40001"), core.ErrUnavailable, "Store is too busy"},
		{server("40P01"), core.ErrUnavailable, "Store is too busy"},
		{server("57014"), core.ErrUnavailable, "Store does not answer in time"},
		{server("57P01"), core.ErrUnavailable, "Store does not answer"},
		{server("25P03"), core.ErrUnavailable, "Store does not answer"},
		{server("28P01"), core.ErrUnavailable, "Database refuses this server: said so"},
		{server("42501"), core.ErrUnavailable, "Database refuses this server's role: said so"},
		{server("42P01"), core.ErrUnavailable, "Tables are missing: run `dynconfig db upgrade`"},
		{server("54000"), core.ErrTooLarge, "Transaction is larger than the database takes"},
		{server("22008"), core.ErrInvalid, "Transaction holds what the database cannot store"},
		{server("XX000"), core.ErrUnavailable, "Store does not answer"},
		{io.ErrUnexpectedEOF, core.ErrUnavailable, "Store does not answer"},
		{context.DeadlineExceeded, core.ErrUnavailable, "Store does not answer in time"},
		{unreadable(io.EOF), core.ErrInternal, "Stored data cannot be read"},
	} {
		got := fault(c.err)
		var e *core.Error
		if !errors.As(got, &e) || !errors.Is(got, c.kind) || !strings.Contains(e.Detail, c.detail) || !errors.Is(got, c.err) {
			t.Errorf("%v became %v, want %v: %q", c.err, got, c.kind, c.detail)
		}
	}
	if err := fault(nil); err != nil {
		t.Errorf("nothing became %v", err)
	}
}
