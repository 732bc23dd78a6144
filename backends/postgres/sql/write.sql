-- Writes a batch: its rows of the log, the entries as they are afterwards, and the head, whose lock is held.
WITH moved AS (
    UPDATE dynconfig.head SET revision = $1, time = $2
), input AS MATERIALIZED (
    SELECT * FROM unnest(
        $4::bigint[], $5::integer[], $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::bytea[], $11::text[], $12::bigint[],
        $13::timestamptz[], $14::text[], $15::integer[], $16::text[], $17::timestamptz[], $18::text[], $19::text[], $20::text[], $21::text[],
        $22::boolean[], $23::boolean[])
    AS i (revision, place, key, op, version, rules, value, acl, ttl, expires, attrs, was, was_acl, time, author, note, id, meta, hidden, present)
), logged AS (
    INSERT INTO dynconfig.changes (revision, place, key, op, version, rules, value, acl, ttl, expires, attrs, was, was_acl,
        time, author, note, id, meta, hidden)
    SELECT revision, place, key, op, version, rules, value, acl, ttl, expires, attrs, was, was_acl, time, author, note, id, meta, hidden
    FROM input
), kept AS (
    INSERT INTO dynconfig.configs (key, value, version, deleted, revision, rules, modified, author, acl, ttl, expires, attrs)
    SELECT key, value, version, op = 'delete', revision, rules, time, author, acl, ttl, expires, attrs FROM input WHERE present
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version, deleted = excluded.deleted,
        revision = excluded.revision, rules = excluded.rules, modified = excluded.modified, author = excluded.author,
        acl = excluded.acl, ttl = excluded.ttl, expires = excluded.expires, attrs = excluded.attrs
)
SELECT CASE WHEN $3::text <> '' THEN pg_notify('dynconfig', $3) END
