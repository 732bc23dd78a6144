-- $1 key, $2 before, $3 at most so many, $4 about so many bytes
SELECT 0::bigint, revision, key, op, version, rules, value, acl, ttl, expires, attrs, was, was_acl, time, author, note, id, meta
FROM (
    SELECT *, row_number() OVER page AS rank, sum(300 + coalesce(octet_length(value), 0) + coalesce(length(acl), 0)) OVER page AS filled
    FROM (
        SELECT * FROM dynconfig.changes WHERE key = $1 AND revision < $2 AND NOT hidden ORDER BY revision DESC LIMIT $3
    ) AS found
    WINDOW page AS (ORDER BY revision DESC ROWS UNBOUNDED PRECEDING)
) AS records
WHERE rank = 1 OR filled <= $4
ORDER BY revision DESC
