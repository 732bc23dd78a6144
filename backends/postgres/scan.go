package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dynconfig/dynconfig/core"
)

// opKinds reads the column op.
var opKinds = map[string]core.OpKind{"put": core.OpPut, "delete": core.OpDelete, "purge": core.OpPurge}

// scanHeads reads entries without values.
func scanHeads(rows pgx.Rows) (entries []core.Entry, err error) {
	var key string
	var acl *string
	var e core.Entry
	lists := acls{}
	_, err = pgx.ForEachRow(rows, []any{&key, &e.Version, &e.Revision, &e.Rules, &e.Deleted, &acl, &e.Doc.TTL}, func() (err error) {
		e.Key = decodeKey(key)
		if e.Doc.ACL, err = lists.decode(acl); err == nil {
			entries = append(entries, e)
		}
		return err
	})
	return entries, err
}

// scanPage reads the answer to a reading statement: one row at least, which has no key if there is no entry. The page ends
// before a row beyond limit entries or core.PageBytes.
func scanPage(rows pgx.Rows, limit int) (p core.Page, err error) {
	var (
		size, filled      int
		key               string
		acl, attrs        *string
		value             []byte
		modified, expires *time.Time
		e                 core.Entry
		lists             = acls{}
	)
	_, err = pgx.ForEachRow(rows, []any{
		&p.Revision, &size, &key, &value, &e.Version, &e.Deleted, &e.Revision, &e.Rules, &modified, &e.Author, &acl, &e.Doc.TTL, &expires, &attrs,
	}, func() (err error) {
		if key == "" {
			return nil
		}
		if n := len(p.Entries); n > 0 && (n == limit || filled >= core.PageBytes) {
			p.More = true
			return nil
		}
		filled += size
		e.Key, e.Author = decodeKey(key), decodeText(e.Author)
		e.Modified, e.Doc.Expires, e.Doc.Value = utc(modified), utc(expires), value
		if e.Doc.ACL, err = lists.decode(acl); err != nil {
			return err
		}
		if e.Doc.Attrs, err = decodeAttrs(attrs); err != nil {
			return err
		}
		p.Entries = append(p.Entries, e)
		value = nil
		return nil
	})
	return p, err
}

// queryCommits runs a statement that answers with rows of changes, and puts together those of one revision. floor is what
// the rows' first column says.
func queryCommits(ctx context.Context, c *pgxpool.Conn, sql string, args ...any) (floor core.Revision, commits []core.Commit, err error) {
	rows, err := c.Query(ctx, sql, args...)
	if err != nil {
		return 0, nil, err
	}
	var (
		revision                  core.Revision
		key, op, author, note, id string
		version, rules, ttl       int64
		was                       int32
		value                     []byte
		acl, attrs, wasACL, meta  *string
		at, expires               *time.Time
		lists                     = acls{}
		into                      = []any{&floor, &revision, &key, &op, &version, &rules, &value, &acl, &ttl, &expires, &attrs, &was, &wasACL, &at, &author, &note, &id, &meta}
	)
	_, err = pgx.ForEachRow(rows, into, func() (err error) {
		if revision == 0 {
			return nil
		}
		if n := len(commits); n == 0 || commits[n-1].Revision != revision {
			m := core.Meta{ID: decodeText(id), Time: utc(at), Author: decodeText(author), Note: decodeText(note)}
			if m.Attrs, err = decodeAttrs(meta); err != nil {
				return err
			}
			commits = append(commits, core.Commit{Revision: revision, Meta: m})
		}
		if op == "" {
			return nil
		}
		commit := &commits[len(commits)-1]
		ch := core.Change{
			Do: opKinds[op],
			Entry: core.Entry{
				Key: decodeKey(key), Doc: core.Doc{Value: value, TTL: time.Duration(ttl), Expires: utc(expires)}, Deleted: op != opNames[core.OpPut],
				Version: version, Revision: revision, Rules: core.Revision(rules), Modified: commit.Meta.Time, Author: commit.Meta.Author,
			},
			Was: core.Was{Exists: was&wasThere != 0, Deleted: was&wasDeleted != 0},
		}
		value = nil
		if ch.Entry.Doc.Attrs, err = decodeAttrs(attrs); err != nil {
			return err
		}
		if ch.Entry.Doc.ACL, err = lists.decode(acl); err != nil {
			return err
		}
		if ch.Was.ACL, err = lists.decode(wasACL); err != nil {
			return err
		}
		if was&wasSameACL != 0 {
			ch.Was.ACL = ch.Entry.Doc.ACL
		}
		commit.Changes = append(commit.Changes, ch)
		return nil
	})
	return floor, commits, err
}

func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
