-- Times are microseconds since the Unix epoch. The statements must run on SQLite and read well for PostgreSQL.

CREATE TABLE tokens (
    hash       BLOB   NOT NULL PRIMARY KEY, -- SHA-256 of the secret; the secret itself is nowhere
    role       TEXT   NOT NULL,
    name       TEXT,                        -- the only name that may join with it
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    uses       BIGINT NOT NULL,
    used       BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE certificates (
    sha256     BLOB   NOT NULL PRIMARY KEY,
    spiffe_id  TEXT   NOT NULL,
    issued_at  BIGINT NOT NULL,
    not_after  BIGINT NOT NULL,
    removed_at BIGINT                       -- set when its owner was removed
);
CREATE INDEX certificates_by_spiffe_id ON certificates (spiffe_id);

CREATE TABLE agents (
    name         TEXT NOT NULL PRIMARY KEY,
    version      TEXT NOT NULL,
    labels       TEXT NOT NULL,             -- JSON object
    capabilities TEXT NOT NULL,             -- JSON array
    sealing_key  BLOB NOT NULL,
    last_seen    BIGINT,
    removed_at   BIGINT
);

CREATE TABLE runs (
    id         TEXT   NOT NULL PRIMARY KEY, -- UUID version 7: later ones sort after earlier ones
    started_at BIGINT NOT NULL,
    target     TEXT   NOT NULL,
    verdict    TEXT   NOT NULL,
    summary    TEXT   NOT NULL,
    document   BLOB   NOT NULL              -- parallax.v1.Run
);
CREATE INDEX runs_by_start ON runs (started_at);

PRAGMA user_version = 1;
