-- Writes a batch, if the head is still the one over which it was evaluated and none of its IDs is known. It answers with
-- one row, or none if nothing was written. Taking the row of head comes first: everything else joins it.
WITH won AS (
    UPDATE dynconfig.head SET revision = $1, time = $2
    WHERE revision = $3 AND NOT EXISTS (
        SELECT FROM dynconfig.changes WHERE id = ANY ($4) AND id <> '' AND place = 0 AND stored > now() - $5::interval)
    RETURNING 1
), input AS MATERIALIZED (
    SELECT * FROM unnest(
        $7::bigint[], $8::integer[], $9::text[], $10::text[], $11::bigint[], $12::bigint[], $13::bytea[], $14::text[], $15::bigint[],
        $16::timestamptz[], $17::text[], $18::integer[], $19::text[], $20::timestamptz[], $21::text[], $22::text[], $23::text[], $24::text[],
        $25::boolean[], $26::boolean[])
    AS i (revision, place, key, op, version, rules, value, acl, ttl, expires, attrs, was, was_acl, time, author, note, id, meta, hidden, present)
), logged AS (
    INSERT INTO dynconfig.changes (revision, place, key, op, version, rules, value, acl, ttl, expires, attrs, was, was_acl,
        time, author, note, id, meta, hidden)
    SELECT revision, place, key, op, version, rules, value, acl, ttl, expires, attrs, was, was_acl, time, author, note, id, meta, hidden
    FROM won, input
), kept AS (
    INSERT INTO dynconfig.configs (key, value, version, deleted, revision, rules, modified, author, acl, ttl, expires, attrs)
    SELECT key, value, version, op = 'delete', revision, rules, time, author, acl, ttl, expires, attrs FROM won, input WHERE present
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version, deleted = excluded.deleted,
        revision = excluded.revision, rules = excluded.rules, modified = excluded.modified, author = excluded.author,
        acl = excluded.acl, ttl = excluded.ttl, expires = excluded.expires, attrs = excluded.attrs
)
SELECT CASE WHEN $6::text <> '' THEN pg_notify('dynconfig', $6) END FROM won
