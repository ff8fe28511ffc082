-- +goose Up

-- latest is the highest number that was given out. version is the current one, previous what was current before it, pending what waits to become current; absent: none.
ALTER TABLE secrets ADD COLUMN latest BIGINT NOT NULL DEFAULT 0;
ALTER TABLE secrets ADD COLUMN previous BIGINT;
ALTER TABLE secrets ADD COLUMN pending BIGINT;
UPDATE secrets SET latest = version, previous = CASE WHEN version > 1 THEN version - 1 END;

-- A deleted version can be undeleted. A destroyed one has neither key nor value: both are empty.
ALTER TABLE secret_versions ADD COLUMN deleted_at BIGINT;
ALTER TABLE secret_versions ADD COLUMN destroyed_at BIGINT;

-- +goose Down
ALTER TABLE secret_versions DROP COLUMN destroyed_at;
ALTER TABLE secret_versions DROP COLUMN deleted_at;
ALTER TABLE secrets DROP COLUMN pending;
ALTER TABLE secrets DROP COLUMN previous;
ALTER TABLE secrets DROP COLUMN latest;
