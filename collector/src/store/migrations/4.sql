-- Who may come in, credentials that are kept for later, and what was done.

ALTER TABLE tokens ADD COLUMN name_pattern TEXT;               -- only names like this may join with it
ALTER TABLE tokens ADD COLUMN labels TEXT NOT NULL DEFAULT '{}'; -- JSON object: of the agents that join with it
ALTER TABLE tokens ADD COLUMN takes_over BIGINT NOT NULL DEFAULT 0; -- takes the place of an agent that is connected
ALTER TABLE tokens ADD COLUMN created_by TEXT;                 -- SPIFFE URI; null: on the collector's own host
ALTER TABLE tokens ADD COLUMN revoked_at BIGINT;

ALTER TABLE certificates ADD COLUMN token_hash BLOB;           -- the token it goes back to
CREATE INDEX certificates_by_token ON certificates (token_hash);

CREATE TABLE removed (
    spiffe_id  TEXT   NOT NULL PRIMARY KEY, -- no token made before brings it back
    removed_at BIGINT NOT NULL
);

CREATE TABLE pinned_labels (
    agent  TEXT NOT NULL PRIMARY KEY,
    labels TEXT NOT NULL                    -- JSON object: they count whatever the agent says of itself
);

CREATE TABLE credentials (
    name       TEXT   NOT NULL PRIMARY KEY,
    host       TEXT   NOT NULL,
    user       TEXT   NOT NULL,
    mechanism  TEXT   NOT NULL,             -- empty: the best that is offered
    anchors    BLOB   NOT NULL,             -- what its seal is bound to: DER, each after its length
    generation TEXT   NOT NULL,             -- UUID of this version of the secret
    set_by     TEXT   NOT NULL,             -- SPIFFE URI
    set_at     BIGINT NOT NULL
);

CREATE TABLE sealed (
    credential       TEXT NOT NULL,
    agent            TEXT NOT NULL,
    generation       TEXT NOT NULL,
    encapsulated_key BLOB NOT NULL,
    ciphertext       BLOB NOT NULL,
    sealed_to_key    BLOB NOT NULL,         -- an agent that has another key by now can't open it
    PRIMARY KEY (credential, agent)
);

CREATE TABLE circuits (
    host       TEXT   NOT NULL,
    user       TEXT   NOT NULL,
    credential TEXT   NOT NULL DEFAULT '',  -- empty: a secret that was typed
    generation TEXT   NOT NULL DEFAULT '',
    opened_at  BIGINT NOT NULL,
    agent      TEXT   NOT NULL,
    run_id     TEXT   NOT NULL,
    words      TEXT   NOT NULL,             -- what the server said
    closed_at  BIGINT,
    closed_by  TEXT,
    PRIMARY KEY (host, user, credential)
);

CREATE TABLE audit (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    at       BIGINT NOT NULL,
    actor    TEXT   NOT NULL,
    role     TEXT   NOT NULL,
    peer     TEXT   NOT NULL,
    call     TEXT   NOT NULL,
    subject  TEXT   NOT NULL,
    run_id   TEXT   NOT NULL,
    result   TEXT   NOT NULL,
    detail   TEXT   NOT NULL,
    took_us  BIGINT NOT NULL,
    previous BLOB   NOT NULL,               -- hash of the entry before
    hash     BLOB   NOT NULL
);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;

PRAGMA user_version = 4;
