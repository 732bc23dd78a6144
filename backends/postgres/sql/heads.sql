-- The entries that a batch touches, without what an evaluation does not look at.
SELECT key, version, revision, rules, deleted, acl, ttl FROM dynconfig.configs WHERE key = ANY ($1)
