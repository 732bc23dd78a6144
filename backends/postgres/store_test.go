package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

// openAt opens a store that waits as long as it takes.
func openAt(t *testing.T, url string, o Options) (*core.Backend, *Store) {
	t.Helper()
	url, o = patient(url, o)
	return openPlain(t, url, o)
}

// openPlain opens a store with the limits of time that it has in production.
func openPlain(t *testing.T, url string, o Options) (*core.Backend, *Store) {
	t.Helper()
	b, err := Open(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b, b.Store.(*Store)
}

func write(t *testing.T, s core.Store, id string, ops ...core.Op) core.Commit {
	t.Helper()
	c, err := persist(t, s, core.Txn{Meta: core.Meta{ID: id}, Ops: ops})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func op(key core.Key, value string) core.Op {
	return core.Op{Key: key, Do: core.OpPut, Doc: core.Doc{Value: []byte(value)}}
}

// ask returns the one thing that a query answers with.
func ask[T any](t *testing.T, url, sql string) (answer T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(t.Context(), sql).Scan(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

func wantUnavailable(t *testing.T, what string, err error, detail string) {
	t.Helper()
	var e *core.Error
	if !errors.As(err, &e) || !errors.Is(err, core.ErrUnavailable) || !strings.Contains(e.Detail, detail) {
		t.Errorf("%s: got %v, want unavailable: %q", what, err, detail)
	}
}

func TestTenNodesThatStartAtOnceUpgradeTheDatabaseOnce(t *testing.T) {
	server := services.StartPostgres(t)
	url, o := patient(server.URL(server.Database(t)), Options{})
	var all sync.WaitGroup
	epochs := make([]string, 10)
	for i := range epochs {
		all.Go(func() {
			b, err := Open(t.Context(), url, o)
			if err != nil {
				t.Errorf("node %d: %v", i, err)
				return
			}
			defer func() { _ = b.Close() }()
			st, err := b.Store.Status(t.Context())
			if err != nil {
				t.Errorf("node %d: %v", i, err)
			}
			epochs[i] = st.Epoch
		})
	}
	all.Wait()
	for i, e := range epochs {
		if e != epochs[0] {
			t.Errorf("node %d sees the epoch %q, node 0 %q", i, e, epochs[0])
		}
	}
	if n := ask[int](t, url, "SELECT count(*) FROM dynconfig.migrations WHERE version_id = 1"); n != 1 {
		t.Errorf("the first step was taken %d times", n)
	}
}

func TestAManualUpgradeIsDemandedInOneSentence(t *testing.T) {
	server := services.StartPostgres(t)
	database := server.Database(t)
	url, manual := patient(server.URL(database), Options{Manual: true})
	_, err := Open(t.Context(), url, manual)
	wantUnavailable(t, "before the upgrade", err, "Tables of the database are not up to date: run `dynconfig db upgrade`")
	if there := ask[bool](t, url, "SELECT to_regnamespace('dynconfig') IS NOT NULL"); there {
		t.Error("a node that must not upgrade made the schema")
	}
	for _, want := range []int{1, 0} {
		if done, err := Upgrade(t.Context(), url); err != nil || len(done) != want {
			t.Errorf("Upgrade: got %v and %v, want %d steps", done, err, want)
		}
	}
	if all, err := Migrations(t.Context(), url); err != nil || len(all) != 1 || all[0].Applied.IsZero() {
		t.Errorf("Migrations: got %v and %v", all, err)
	}
	openPlain(t, url, manual)
	server.Exec(t, database, "INSERT INTO dynconfig.migrations (version_id, is_applied) VALUES (99, true)")
	_, err = Open(t.Context(), url, Options{Timeout: patience})
	wantUnavailable(t, "tables of the future", err, "are of a later DynConfig: version 99, this one knows 1")
}

func TestAReadOnlyDatabaseIsReadAndTakesNoWrites(t *testing.T) {
	server := services.StartPostgres(t)
	db := server.Database(t)
	_, s := openAt(t, server.URL(db), Options{})
	write(t, s, "1", op("k", "1"))
	server.Exec(t, db, "ALTER DATABASE "+db+" SET default_transaction_read_only = on")
	server.Cut(t, db)
	if p, err := s.Get(t.Context(), []core.Key{"k"}, 1); err != nil || len(p.Entries) != 1 {
		t.Errorf("Get: got %+v and %v", p, err)
	}
	_, err := s.Commit(t.Context(), core.Txn{Meta: core.Meta{ID: "2"}, Ops: []core.Op{op("k", "2")}})
	wantUnavailable(t, "Commit", err, "Store takes no writes: the database is read-only")
	server.Exec(t, "postgres", "ALTER DATABASE "+db+" RESET default_transaction_read_only")
	server.Cut(t, db)
	if c := write(t, s, "2", op("k", "2")); c.Revision != 2 {
		t.Errorf("afterwards the commit is %d, want 2", c.Revision)
	}
}

func TestATransactionThatTheDatabaseRefusesTakesNoOtherWithIt(t *testing.T) {
	server := services.StartPostgres(t)
	_, s := openAt(t, server.URL(server.Database(t)), Options{})
	var txns []core.Txn
	for i := range 9 {
		o := op(core.Key(fmt.Sprint(i)), "1")
		if i == 4 {
			o.Doc.Expires = time.Date(300_000, 1, 1, 0, 0, 0, 0, time.UTC)
		}
		txns = append(txns, core.Txn{Ops: []core.Op{o}})
	}
	revision := core.Revision(0)
	for i, a := range (writer{s}).batch(t.Context(), txns) {
		if i == 4 {
			if !errors.Is(a.Err, core.ErrInvalid) {
				t.Errorf("what cannot be stored is answered %v", a.Err)
			}
			continue
		}
		if revision++; a.Err != nil || a.Commit.Revision != revision {
			t.Errorf("transaction %d: commit %d and %v, want %d", i, a.Commit.Revision, a.Err, revision)
		}
	}
}

func TestWhatIsCompactedGoesOnceNoRepeatAsksForIt(t *testing.T) {
	server := services.StartPostgres(t)
	db := server.Database(t)
	url := server.URL(db)
	_, s := openAt(t, url, Options{})
	rows := func() int { return ask[int](t, url, "SELECT count(*) FROM dynconfig.changes") }
	large := strings.Repeat("v", 100_000)
	for i := range 20 {
		write(t, s, fmt.Sprint(i), op("k", large), op("gone", "1"))
	}
	write(t, s, "purge", core.Op{Key: "gone", Do: core.OpPurge})
	compact := func() {
		t.Helper()
		if err := s.Compact(t.Context(), 21, 3); err != nil {
			t.Fatal(err)
		}
		if h, err := s.History(t.Context(), "k", 0, 0); err != nil || len(h) != 3 {
			t.Errorf("History: got %d records and %v, want 3", len(h), err)
		}
		if h, err := s.History(t.Context(), "gone", 0, 0); err != nil || len(h) != 0 {
			t.Errorf("History of a purged key: got %d records and %v, want none", len(h), err)
		}
	}
	compact()
	if n := rows(); n != 41 {
		t.Errorf("while repeats may come, %d changes are kept, want 41", n)
	}
	if c := write(t, s, "0"); c.Revision != 1 || len(c.Changes) != 2 || !bytes.Equal(c.Changes[1].Entry.Doc.Value, []byte(large)) {
		t.Errorf("the repeat is answered with commit %d of %d changes", c.Revision, len(c.Changes))
	}
	server.Exec(t, db, "UPDATE dynconfig.changes SET stored = stored - interval '10 minutes'")
	if c := write(t, s, "0"); c.Revision != 22 {
		t.Errorf("after ten minutes the ID's commit is %d, want 22", c.Revision)
	}
	compact()
	if n := rows(); n != 3+1 {
		t.Errorf("after ten minutes %d changes are kept, want 4", n)
	}
	if r := ask[int](t, url, "SELECT trimmed FROM dynconfig.head"); r != 21 {
		t.Errorf("trimmed is %d, want 21", r)
	}
}

func TestASettingThatLosesCommitsIsNoticed(t *testing.T) {
	server := services.StartPostgres(t)
	var log bytes.Buffer
	b, _ := openAt(t, server.URL(server.Database(t), "synchronous_commit=off"), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if b.Limits.Durable || !strings.Contains(log.String(), "synchronous_commit=off") {
		t.Errorf("Durable is %v, and the log says %q", b.Limits.Durable, log.String())
	}
	if b, _ := openAt(t, server.URL(server.Database(t)), Options{}); !b.Limits.Durable {
		t.Error("by default commits are not durable")
	}
}

func TestADatabaseMustSpeakUnicode(t *testing.T) {
	server := services.StartPostgres(t)
	server.Exec(t, "postgres", "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
	url, o := patient(server.URL("latin"), Options{})
	if _, err := Open(t.Context(), url, o); err == nil || err.Error() != "Database must have the encoding UTF8" {
		t.Errorf("got %v", err)
	}
}

func TestAPasswordIsNeverShown(t *testing.T) {
	server := services.StartPostgres(t)
	server.Exec(t, "postgres", "CREATE ROLE joe LOGIN PASSWORD 'right'")
	for _, url := range []string{
		"postgres://joe:s3cret@/postgres?host=" + t.TempDir(),
		"postgres://joe:s3cret@localhost:1/postgres",
		"postgres://joe:s3cret@localhost:port/postgres",
		"postgres://joe:s3cret@localhost/postgres?sslmode=s3cret",
		"postgres://joe:s3cret@localhost/postgres?sslmode=verify-full&sslrootcert=/nowhere",
		"postgres://joe:s3cret@localhost/postgres?pool_max_conns=s3cret",
		"postgres://joe:s3cret@[",
		"host=localhost password=s3cret port=x",
		server.URL("nowhere", "password=s3cret"),
	} {
		var log bytes.Buffer
		_, err := Open(t.Context(), url, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, err), "s3cret") || strings.Contains(log.String(), "s3cret") {
			t.Errorf("%s: got %v", url, err)
		}
		t.Log(err)
	}
}

func TestANodeThatDoesNotUpgradeNeedsNoMoreThanRowsOfTheTables(t *testing.T) {
	server := services.StartPostgres(t)
	db := server.Database(t)
	if _, err := Upgrade(t.Context(), server.URL(db)); err != nil {
		t.Fatal(err)
	}
	server.Exec(t, db, `CREATE ROLE node LOGIN;
		GRANT USAGE ON SCHEMA dynconfig TO node;
		GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA dynconfig TO node`)
	b, s := openAt(t, server.URL(db, "user=node"), Options{Manual: true})
	hints, err := b.Bus.Listen(t.Context())
	if err != nil || (<-hints).Head != 0 {
		t.Fatal(err)
	}
	write(t, s, "1", op("k", "1"))
	write(t, s, "2", core.Op{Key: "k", Do: core.OpPurge})
	if err := s.Compact(t.Context(), 2, 0); err != nil {
		t.Error(err)
	}
	if st, err := s.Status(t.Context()); err != nil || st.Head != 2 || st.Floor != 2 {
		t.Errorf("Status: %+v, %v", st, err)
	}
	_, other := openAt(t, server.URL(db), Options{})
	write(t, other, "3", op("k", "1"))
	if h := <-hints; h.Head != 3 {
		t.Errorf("the hint of another node's commit has head %d, want 3", h.Head)
	}
}
