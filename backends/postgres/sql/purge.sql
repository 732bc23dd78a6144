DELETE FROM dynconfig.configs WHERE key = ANY ($1)
