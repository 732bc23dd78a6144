package postgres

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/dynconfig/dynconfig/conformance/services"
	"github.com/dynconfig/dynconfig/core"
)

// Plans are made once, perhaps when the tables are empty: a good one then must be a good one with millions of rows.
func TestStatementsGoByAnIndexAlsoWhenPlannedOverEmptyTables(t *testing.T) {
	server := services.StartPostgres(t)
	url := server.URL(server.Database(t))
	openAt(t, url, Options{})
	config, err := configure(url)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.ConnectConfig(t.Context(), config.ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	for name, s := range map[string]struct{ sql, types, args string }{
		"heads":    {headsSQL, "text[]", "'{a}'"},
		"repeated": {repeatedSQL, "text[], interval", "'{a}', '10 min'"},
		"hide":     {hideSQL, "text[]", "'{a}'"},
		"purge":    {purgeSQL, "text[]", "'{a}'"},
		"get":      {getSQL, "text[]", "'{a}'"},
		"list":     {listSQL, "text, text, bool, bool, bigint, bigint", "'a', 'b', false, false, 10, 10"},
		"log":      {logSQL, "bigint, bigint, bigint", "1, 10, 10"},
		"commits":  {commitsSQL, "bigint[]", "'{1}'"},
		"history":  {historySQL, "text, bigint, bigint, bigint", "'a', 10, 10, 10"},
		"floor":    {floorSQL, "bigint, int, interval", "10, 1, '10 min'"},
		"step":     {stepSQL, "bigint, bigint, bigint", "1, 10, 10"},
		"trim":     {trimming(), "bigint, bigint, bigint, bigint, bigint", "1, 10, 10, 3, 5"},
		"veil":     {veiling(), "bigint, bigint, bigint, bigint, bigint", "1, 10, 10, 3, 5"},
	} {
		if _, err := conn.Exec(t.Context(), fmt.Sprintf("PREPARE %s_plan (%s) AS %s", name, s.types, s.sql)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		rows, err := conn.Query(t.Context(), fmt.Sprintf("EXPLAIN EXECUTE %s_plan (%s)", name, s.args), pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		plan := strings.Join(lines, "\n")
		for _, bad := range []string{"Seq Scan on changes", "Seq Scan on configs", "Bitmap", "Hash Join", "Merge Join"} {
			if strings.Contains(plan, bad) {
				t.Errorf("%s: %s\n%s", name, bad, plan)
			}
		}
		if name == "list" && strings.Contains(plan[strings.Index(plan, "Limit"):], "Sort") {
			t.Errorf("a page of a list sorts the whole range:\n%s", plan)
		}
	}
}

func TestKeysKeepTheirOrderAndComeBack(t *testing.T) {
	for _, k := range []core.Key{"0/k/app.ui:theme@v1", "-/i/0af", "0/d/My Document"} {
		if encodeKey(k) != string(k) {
			t.Errorf("%q stands in the table as %q", k, encodeKey(k))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		one := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 'a', '.', 0x7f, 0x80, 0xc3, 0xff}), 1, 8)
		a, b := core.Key(one.Draw(t, "a")), core.Key(one.Draw(t, "b"))
		if got := decodeKey(encodeKey(a)); got != a {
			t.Fatalf("%q came back as %q", a, got)
		}
		if strings.Compare(string(a), string(b)) != strings.Compare(encodeKey(a), encodeKey(b)) {
			t.Fatalf("%q and %q stand in another order", a, b)
		}
		if encodeKey(a) >= afterAll || strings.Contains(encodeKey(a), "\x00") {
			t.Fatalf("%q is encoded as %q", a, encodeKey(a))
		}
	})
}

func TestTextsAndListsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
			rapid.SampledFrom([]string{"", "\x01", "\x01a", "\x00", "élise", "\xff"}))
		if s := text.Draw(t, "text"); decodeText(encodeText(s)) != s || strings.Contains(encodeText(s), "\x00") {
			t.Fatalf("%q is encoded as %q", s, encodeText(s))
		}
		list := rapid.OneOf(rapid.Just([]string(nil)), rapid.SliceOf(text))
		acl := &core.ACL{Read: list.Draw(t, "read"), Write: list.Draw(t, "write"), Admin: list.Draw(t, "admin")}
		before := [][]string{slices.Clone(acl.Read), slices.Clone(acl.Write), slices.Clone(acl.Admin)}
		got, err := acls{}.decode(encodeACL(acl))
		if err != nil || !got.Equal(acl) || (got.Read == nil) != (acl.Read == nil) {
			t.Fatalf("%+v came back as %+v, %v", acl, got, err)
		}
		if !acl.Equal(&core.ACL{Read: before[0], Write: before[1], Admin: before[2]}) {
			t.Fatalf("encoding changed %+v to %+v", before, acl)
		}
		attrs := rapid.MapOf(text, text).Draw(t, "attrs")
		back, err := decodeAttrs(encodeAttrs(attrs))
		if err != nil || len(back) != len(attrs) {
			t.Fatalf("%q came back as %q, %v", attrs, back, err)
		}
		for k, v := range attrs {
			if back[k] != v {
				t.Fatalf("%q came back as %q", attrs, back)
			}
		}
	})
}
