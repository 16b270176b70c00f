-- What is missing is counted, round by round; it was worked out from the time that passed.

ALTER TABLE rounds ADD COLUMN missed TEXT NOT NULL DEFAULT ''; -- numbers of the agents of whom nothing came yet

-- Worked out, it counts time in which nobody was to look as well. Who was missed then is not known, but no agent can be
-- missed in more rounds than those in which somebody was. What is older than the rounds that are there stays as it is.
CREATE TABLE lacking (
    check_no BIGINT NOT NULL, span BIGINT NOT NULL, at BIGINT NOT NULL, rounds BIGINT NOT NULL,
    PRIMARY KEY (check_no, span, at)
) WITHOUT ROWID;
INSERT INTO lacking SELECT check_no, span, started_at - started_at % (span * 1000000) AS at, COUNT(*)
    FROM rounds CROSS JOIN (SELECT 3600 AS span UNION ALL SELECT 86400) WHERE missing > 0 GROUP BY check_no, span, at;
UPDATE rollups SET expected = ok + degraded + failed + refused + MIN(
    expected - (ok + degraded + failed + refused),
    COALESCE((SELECT lacking.rounds FROM lacking WHERE lacking.check_no = rollups.check_no
        AND lacking.span = rollups.span AND lacking.at = rollups.at), 0))
    WHERE expected > ok + degraded + failed + refused
    AND at + span * 1000000 > (SELECT MIN(started_at) FROM rounds WHERE rounds.check_no = rollups.check_no);
DROP TABLE lacking;

PRAGMA user_version = 8;
