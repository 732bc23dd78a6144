-- The commits that had one of these IDs of late.
SELECT id, revision FROM dynconfig.changes WHERE id = ANY ($1) AND id <> '' AND place = 0 AND stored > now() - $2::interval
