-- +goose Up
-- physical is the collection's name at the engine, '' its own; desired is the schema that it should have, '' the one that it has. Writes of a collection
-- with a reindex are noted for that, and wait while held is 1.
ALTER TABLE collections ADD COLUMN physical       TEXT   NOT NULL DEFAULT '';
ALTER TABLE collections ADD COLUMN desired        TEXT   NOT NULL DEFAULT '';
ALTER TABLE collections ADD COLUMN schema_version BIGINT NOT NULL DEFAULT 1;
ALTER TABLE collections ADD COLUMN reindex        TEXT   NOT NULL DEFAULT '';
ALTER TABLE collections ADD COLUMN held           BIGINT NOT NULL DEFAULT 0;

-- Whoever has the lease works on the reindex; due_at 0 is never. cleanup is a collection of the engine that is to be dropped at cleanup_at.
CREATE TABLE reindexes (
    id             TEXT   NOT NULL PRIMARY KEY,
    tenant         TEXT   NOT NULL,
    name           TEXT   NOT NULL,
    claimed_at     BIGINT NOT NULL,
    state          TEXT   NOT NULL,
    source         TEXT   NOT NULL,
    target         TEXT   NOT NULL,
    wanted         TEXT   NOT NULL,
    earlier        TEXT   NOT NULL,
    schema_version BIGINT NOT NULL,
    keep_old       BIGINT NOT NULL,
    documents      BIGINT NOT NULL,
    copied         BIGINT NOT NULL,
    caught_up      BIGINT NOT NULL,
    failure        TEXT   NOT NULL,
    reason         TEXT   NOT NULL,
    cleanup        TEXT   NOT NULL,
    cleanup_at     BIGINT NOT NULL,
    lease          TEXT   NOT NULL,
    leased_until   BIGINT NOT NULL,
    due_at         BIGINT NOT NULL,
    started_at     BIGINT NOT NULL,
    changed_at     BIGINT NOT NULL
);
CREATE INDEX reindexes_of_collections ON reindexes (tenant, name, claimed_at, id);

-- What was written of a collection while it is reindexed, and is not yet in the other copy. refused is 1 when that did not take it.
CREATE TABLE reindex_notes (
    reindex  TEXT   NOT NULL,
    document TEXT   NOT NULL,
    noted_at BIGINT NOT NULL,
    refused  BIGINT NOT NULL,
    PRIMARY KEY (reindex, document)
);

-- The running processes of the service. No write that one has under way began before oldest.
CREATE TABLE replicas (
    id      TEXT   NOT NULL PRIMARY KEY,
    seen_at BIGINT NOT NULL,
    oldest  BIGINT NOT NULL
);

-- +goose Down
DROP TABLE replicas;
DROP TABLE reindex_notes;
DROP TABLE reindexes;
ALTER TABLE collections DROP COLUMN held;
ALTER TABLE collections DROP COLUMN reindex;
ALTER TABLE collections DROP COLUMN schema_version;
ALTER TABLE collections DROP COLUMN desired;
ALTER TABLE collections DROP COLUMN physical;
