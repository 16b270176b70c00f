-- What is the same target, and what was seen of it when it last worked.

CREATE TABLE last_good (
    target_key TEXT   NOT NULL,             -- host and endpoints
    agent      TEXT   NOT NULL,
    run_id     TEXT   NOT NULL,             -- the newest run in which all was well there
    started_at BIGINT NOT NULL,
    PRIMARY KEY (target_key, agent)
);
CREATE INDEX last_good_by_start ON last_good (started_at);

PRAGMA user_version = 2;
