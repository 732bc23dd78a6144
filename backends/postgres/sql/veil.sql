-- Hides the rest of what is below the cut.
WITH cut AS (%s)
UPDATE dynconfig.changes c SET hidden = true FROM cut
WHERE c.key = cut.key AND c.revision > $5 AND c.revision < cut.below AND NOT c.hidden
