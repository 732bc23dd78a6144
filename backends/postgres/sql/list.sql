-- $1 from, $2 to, $3 tombstones too, $4 without values, $5 at most so many entries, $6 about so many bytes. There may be one
-- row more than belongs to the page, which tells that the range goes on. A nested loop over one row keeps the order of the
-- window, where ORDER BY would sort the page once more.
SELECT h.revision, coalesce(c.size, 0), coalesce(c.key, ''), CASE WHEN NOT $4 THEN c.value END, coalesce(c.version, 0),
    coalesce(c.deleted, false), coalesce(c.revision, 0), coalesce(c.rules, 0), c.modified, coalesce(c.author, ''), c.acl, coalesce(c.ttl, 0),
    c.expires, c.attrs
FROM dynconfig.head h LEFT JOIN (
    SELECT *, coalesce(sum(size) OVER (ORDER BY key ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING), 0) AS before_last
    FROM (
        SELECT *, 200 + length(key) + coalesce(length(acl), 0) + CASE WHEN $4 THEN 0 ELSE coalesce(octet_length(value), 0) END AS size
        FROM dynconfig.configs
        WHERE key >= $1 AND key < $2 AND ($3 OR NOT deleted)
        ORDER BY key LIMIT $5 + 1
    ) AS found
) c ON c.before_last < $6
