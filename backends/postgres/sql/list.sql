-- $1 from, $2 to, $3 tombstones too, $4 without values, $5 at most so many entries, $6 about so many bytes
SELECT h.revision, coalesce(c.more, false), coalesce(c.key, ''), CASE WHEN NOT $4 THEN c.value END, coalesce(c.version, 0),
    coalesce(c.deleted, false), coalesce(c.revision, 0), coalesce(c.rules, 0), c.modified, coalesce(c.author, ''), c.acl, coalesce(c.ttl, 0),
    c.expires, c.attrs
FROM dynconfig.head h LEFT JOIN (
    SELECT *, row_number() OVER page AS place, sum(size) OVER page AS filled, lead(key) OVER page IS NOT NULL AS more
    FROM (
        SELECT *, 200 + length(key) + coalesce(length(acl), 0) + CASE WHEN $4 THEN 0 ELSE coalesce(octet_length(value), 0) END AS size
        FROM dynconfig.configs
        WHERE key >= $1 AND key < $2 AND ($3 OR NOT deleted)
        ORDER BY key LIMIT $5 + 1
    ) AS found
    WINDOW page AS (ORDER BY key ROWS UNBOUNDED PRECEDING)
) c ON c.place = 1 OR c.place <= $5 AND c.filled <= $6
ORDER BY c.key
