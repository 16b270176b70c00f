-- Rounds of a time that the collector's clock was set back from: they come again, and count then.

ALTER TABLE rounds ADD COLUMN another_clock BIGINT NOT NULL DEFAULT 0;

PRAGMA user_version = 7;
