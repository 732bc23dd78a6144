-- How far some thousand rows reach from $1 on, at most up to $2.
SELECT coalesce(max(revision), 0) FROM (
    SELECT revision FROM dynconfig.changes WHERE revision > $1 AND revision <= $2 ORDER BY revision LIMIT $3
) AS found
