-- The histories of keys that a batch purges.
UPDATE dynconfig.changes SET hidden = true WHERE key = ANY ($1) AND NOT hidden
