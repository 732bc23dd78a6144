-- Deletes what is below the cut, and what is hidden already, as far as no repeat of an ID may ask for it: up to $5.
WITH cut AS (%s)
DELETE FROM dynconfig.changes c USING cut
WHERE c.key = cut.key AND c.revision <= $5 AND c.revision <= $3 AND (c.hidden OR c.revision < cut.below)
