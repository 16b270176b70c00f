-- Which runs are of the same target, and the packets kept beside runs.

ALTER TABLE runs ADD COLUMN target_key TEXT NOT NULL DEFAULT ''; -- as in last_good; empty: not known yet
CREATE INDEX runs_by_target ON runs (target_key, started_at);

CREATE TABLE captures (
    run_id  TEXT   NOT NULL,                -- may be of a run that is not kept yet: it is still going on
    number  BIGINT NOT NULL,                -- its place in the run's own list
    agent   TEXT   NOT NULL,
    kept_at BIGINT NOT NULL,
    bytes   BIGINT NOT NULL,
    capture BLOB   NOT NULL,                -- parallax.v1.Capture
    PRIMARY KEY (run_id, number)
);
CREATE INDEX captures_by_age ON captures (kept_at, bytes);

PRAGMA user_version = 3;
