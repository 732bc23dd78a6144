-- Whole commits, whether the log still has them or not.
SELECT 0::bigint, revision, key, op, version, rules, value, acl, ttl, expires, attrs, was, was_acl, time, author, note, id, meta
FROM dynconfig.changes WHERE revision = ANY ($1) ORDER BY revision, place
