UPDATE dynconfig.head SET trimmed = $1, kept = $2
