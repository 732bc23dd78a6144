SELECT h.revision, 0, coalesce(c.key, ''), c.value, coalesce(c.version, 0), coalesce(c.deleted, false), coalesce(c.revision, 0),
    coalesce(c.rules, 0), c.modified, coalesce(c.author, ''), c.acl, coalesce(c.ttl, 0), c.expires, c.attrs
FROM dynconfig.head h LEFT JOIN dynconfig.configs c ON c.key = ANY ($1)
ORDER BY c.key
