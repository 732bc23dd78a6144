-- Raises the floor to $1, never lowers it, and says up to where histories were trimmed to $2 changes already, and what
-- the last revision is whose ID need not be remembered any longer. No row: there is nothing to do.
WITH raised AS (
    UPDATE dynconfig.head SET floor = least($1, revision)
    WHERE least($1, revision) >= floor AND least($1, revision) > 0
    RETURNING floor, CASE WHEN kept = $2 THEN trimmed ELSE 0 END AS trimmed
)
SELECT floor, trimmed, coalesce((
    SELECT c.revision - 1 FROM dynconfig.changes c
    WHERE c.revision > raised.trimmed AND c.revision <= raised.floor AND stored > now() - $3::interval
    ORDER BY c.revision LIMIT 1), floor)
FROM raised
