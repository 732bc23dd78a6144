-- $1 after, $2 at most up to, $3 about so many bytes
SELECT h.floor, coalesce(c.revision, 0), coalesce(c.key, ''), coalesce(c.op, ''), coalesce(c.version, 0), coalesce(c.rules, 0), c.value,
    c.acl, coalesce(c.ttl, 0), c.expires, c.attrs, coalesce(c.was, 0), c.was_acl, c.time, coalesce(c.author, ''), coalesce(c.note, ''),
    coalesce(c.id, ''), c.meta
FROM dynconfig.head h LEFT JOIN (
    SELECT *, coalesce(sum(size) OVER (ORDER BY revision RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW), 0) AS filled
    FROM (
        SELECT *, 300 + length(key) + length(note) + coalesce(octet_length(value), 0) + coalesce(length(acl), 0) + coalesce(length(was_acl), 0) AS size
        FROM dynconfig.changes WHERE revision > $1 AND revision <= $2
    ) AS found
) c ON c.revision = $1 + 1 OR c.filled <= $3
ORDER BY c.revision, c.place
