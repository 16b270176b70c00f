-- Checks, what came of them, and who is told.
CREATE TABLE checks (
    no INTEGER PRIMARY KEY AUTOINCREMENT, -- short, for the large tables; never used again
    id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, version BIGINT NOT NULL,
    definition BLOB NOT NULL, -- parallax.v1.CheckDefinition
    paused BIGINT NOT NULL DEFAULT 0,
    cleared TEXT NOT NULL DEFAULT '', -- generation of the secret that a server took
    changed_at BIGINT NOT NULL, changed_by TEXT NOT NULL, removed_at BIGINT
);
CREATE UNIQUE INDEX checks_by_name ON checks (name) WHERE removed_at IS NULL;
CREATE TABLE check_agents (no INTEGER PRIMARY KEY AUTOINCREMENT, agent TEXT NOT NULL UNIQUE);
CREATE TABLE check_certificates (
    no INTEGER PRIMARY KEY AUTOINCREMENT, sha256 TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL, issuer TEXT NOT NULL, not_before BIGINT NOT NULL, not_after BIGINT NOT NULL
);
CREATE TABLE spools ( -- up to which sequence everything is stored, or was dropped at the agent
    agent_no BIGINT NOT NULL, epoch BLOB NOT NULL, chain BIGINT NOT NULL, through BIGINT NOT NULL,
    stored BIGINT NOT NULL, duplicates BIGINT NOT NULL DEFAULT 0, heard_at BIGINT NOT NULL,
    PRIMARY KEY (agent_no, epoch, chain)
) WITHOUT ROWID;
CREATE TABLE results (
    check_no BIGINT NOT NULL, agent_no BIGINT NOT NULL, id BLOB NOT NULL, -- UUID version 7
    at BIGINT NOT NULL, round_at BIGINT NOT NULL, outcome BIGINT NOT NULL, -- 0 ok, 1 degraded, 2 failed, 3 refused
    stage TEXT, fault TEXT, total_us BIGINT NOT NULL, stages BLOB NOT NULL, -- varints: stage, microseconds
    certificate_no BIGINT, PRIMARY KEY (check_no, agent_no, id)
) WITHOUT ROWID;
CREATE TABLE open_results ( -- whole, until their round is closed
    run_id BLOB NOT NULL, agent_no BIGINT NOT NULL, check_no BIGINT NOT NULL, received_at BIGINT NOT NULL,
    result BLOB NOT NULL, PRIMARY KEY (run_id, agent_no) -- parallax.v1.CheckResult
) WITHOUT ROWID;
CREATE TABLE rounds (
    check_no BIGINT NOT NULL, started_at BIGINT NOT NULL, run_id BLOB NOT NULL, verdict TEXT NOT NULL, summary TEXT NOT NULL,
    ok BIGINT NOT NULL, degraded BIGINT NOT NULL, failed BIGINT NOT NULL, missing BIGINT NOT NULL, refused BIGINT NOT NULL,
    late BIGINT NOT NULL, kept BIGINT NOT NULL, closed_at BIGINT NOT NULL, PRIMARY KEY (check_no, started_at)
) WITHOUT ROWID;
CREATE TABLE rollups (
    check_no BIGINT NOT NULL, span BIGINT NOT NULL, at BIGINT NOT NULL, agent_no BIGINT NOT NULL, -- span 3600 or 86400 s
    ok BIGINT NOT NULL, degraded BIGINT NOT NULL, failed BIGINT NOT NULL, refused BIGINT NOT NULL, expected BIGINT NOT NULL,
    latency BLOB NOT NULL, certificate_no BIGINT, PRIMARY KEY (check_no, span, at, agent_no)
) WITHOUT ROWID;
ALTER TABLE runs ADD COLUMN check_no BIGINT; -- null: asked by hand
ALTER TABLE runs ADD COLUMN is_first BIGINT NOT NULL DEFAULT 0; -- of an incident, or a healthy sample: kept longer
CREATE INDEX runs_by_check ON runs (check_no, started_at, is_first);
CREATE TABLE alerts (
    fingerprint TEXT NOT NULL PRIMARY KEY, check_no BIGINT, state TEXT NOT NULL, alert BLOB NOT NULL, changed_at BIGINT NOT NULL
);
CREATE TABLE alert_memory (subject TEXT NOT NULL PRIMARY KEY, memory TEXT NOT NULL); -- JSON
CREATE TABLE outbox (
    no INTEGER PRIMARY KEY AUTOINCREMENT, receiver TEXT NOT NULL, fingerprint TEXT NOT NULL, notice BLOB NOT NULL,
    made_at BIGINT NOT NULL, attempts BIGINT NOT NULL DEFAULT 0, next_at BIGINT NOT NULL, problem TEXT NOT NULL DEFAULT ''
);
CREATE INDEX outbox_by_time ON outbox (receiver, next_at);
CREATE TABLE silences (id TEXT NOT NULL PRIMARY KEY, silence BLOB NOT NULL, ends_at BIGINT NOT NULL);

PRAGMA user_version = 5;
