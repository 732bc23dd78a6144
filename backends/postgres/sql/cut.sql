-- For each key that a commit after $1 up to $2 changed: below which revision its history goes, if the newest $4 changes and
-- all above the floor $3 stay. NULL if there are not so many.
SELECT key, CASE WHEN $4 = 0 THEN $3 + 1 ELSE (
    SELECT least($3 + 1, revision) FROM dynconfig.changes c
    WHERE c.key = touched.key AND NOT hidden ORDER BY revision DESC OFFSET $4 - 1 LIMIT 1) END AS below
FROM (SELECT DISTINCT key FROM dynconfig.changes WHERE revision > $1 AND revision <= $2) AS touched
