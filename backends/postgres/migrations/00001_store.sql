-- +goose Up

-- Where the store is. Its one row is the lock of every commit.
CREATE TABLE dynconfig.head (
    one      boolean     PRIMARY KEY DEFAULT true CHECK (one),
    store    text        NOT NULL,           -- which store this is, made once
    revision bigint      NOT NULL DEFAULT 0, -- the newest commit
    time     timestamptz,                    -- and its time
    floor    bigint      NOT NULL DEFAULT 0, -- the log begins after it
    trimmed  bigint      NOT NULL DEFAULT 0, -- histories are trimmed up to it
    kept     integer     NOT NULL DEFAULT 0  -- to so many changes of a key
);
INSERT INTO dynconfig.head (store) VALUES (substr(replace(gen_random_uuid()::text, '-', ''), 1, 12));

-- The present: one row for each key, tombstones included.
CREATE TABLE dynconfig.configs (
    key      text        COLLATE "C" PRIMARY KEY, -- environment id / kind / name
    value    bytea,                               -- JSON as it was sent, or sealed; NULL in a tombstone
    version  bigint      NOT NULL,
    deleted  boolean     NOT NULL,
    revision bigint      NOT NULL, -- the commit that last changed it
    rules    bigint      NOT NULL, -- the commit that last created, deleted or re-ruled it
    modified timestamptz NOT NULL,
    author   text        NOT NULL,
    acl      text,                 -- JSON {"read": [...], "write": [...], "admin": [...]}; a list that is not there is inherited
    ttl      bigint      NOT NULL, -- nanoseconds; 0: for ever
    expires  timestamptz,
    attrs    text                  -- JSON
) WITH (fillfactor = 70);
ALTER TABLE dynconfig.configs ALTER value SET STORAGE EXTERNAL;

-- The log and every key's history: one row for each change of a commit. A commit without changes has one row without a key.
CREATE TABLE dynconfig.changes (
    revision  bigint      NOT NULL,
    place     integer     NOT NULL, -- in the commit
    key       text        COLLATE "C" NOT NULL,
    op        text        NOT NULL, -- put, delete or purge
    version   bigint      NOT NULL, -- these are of the entry after the change
    rules     bigint      NOT NULL,
    value     bytea,
    acl       text,
    ttl       bigint      NOT NULL,
    expires   timestamptz,
    attrs     text,
    was       integer     NOT NULL, -- 1: there was an entry, 2: a tombstone, 4: it had the same ACL
    was_acl   text,
    time      timestamptz NOT NULL, -- these are of the commit
    author    text        NOT NULL,
    note      text        NOT NULL,
    id        text        COLLATE "C" NOT NULL,
    meta      text,
    hidden    boolean     NOT NULL, -- from the key's history: the key was purged, or the history trimmed
    stored    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (key, revision)
);
ALTER TABLE dynconfig.changes ALTER value SET STORAGE EXTERNAL;
CREATE INDEX changes_log ON dynconfig.changes (revision);
CREATE INDEX changes_id ON dynconfig.changes (id) WHERE place = 0 AND id <> '';

-- For people with psql: what is live, with values as JSON where they are not sealed.
-- +goose StatementBegin
CREATE FUNCTION dynconfig.as_json(value bytea) RETURNS json LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN convert_from(value, 'UTF8')::json;
EXCEPTION WHEN others THEN
    RETURN NULL; -- sealed
END
$$;
-- +goose StatementEnd
CREATE VIEW dynconfig.configs_json AS
    SELECT split_part(key, '/', 1) AS environment,
        CASE split_part(key, '/', 2) WHEN 'k' THEN 'key' WHEN 'd' THEN 'document' WHEN 'n' THEN 'namespace' WHEN 'e' THEN 'environment'
            WHEN 'p' THEN 'policy' WHEN 'a' THEN 'audit' END AS kind,
        substr(key, length(split_part(key, '/', 1)) + 4) AS name,
        version, dynconfig.as_json(value) AS value, dynconfig.as_json(value) IS NULL AS sealed, acl::json AS acl,
        nullif(ttl, 0) / 1000000000 * interval '1 second' AS ttl, expires, revision, modified, author
    FROM dynconfig.configs WHERE NOT deleted AND split_part(key, '/', 2) <> 'i'; -- the answers to Idempotency-Keys
CREATE VIEW dynconfig.commits AS
    SELECT revision, min(time) AS time, min(author) AS author, min(note) AS note,
        array_agg(op || ' ' || key ORDER BY place) FILTER (WHERE op <> '') AS changes
    FROM dynconfig.changes WHERE revision > (SELECT floor FROM dynconfig.head) GROUP BY revision;
