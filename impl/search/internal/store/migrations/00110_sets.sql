-- +goose Up
-- body is the set's content as JSON, readers who may use it beside its owner. The engine knows a set by its id, which no other set ever has.
CREATE TABLE search_sets (
    kind       TEXT   NOT NULL,
    tenant     TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    id         TEXT   NOT NULL,
    owner      TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    body       TEXT   NOT NULL,
    readers    TEXT   NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (kind, tenant, name)
);
CREATE UNIQUE INDEX search_sets_by_id ON search_sets (id);

-- How many sets an owner has.
CREATE TABLE search_set_owners (
    owner TEXT   NOT NULL PRIMARY KEY,
    sets  BIGINT NOT NULL
);

-- Ids of the sets that hold for a collection, as JSON; '' until it is first told of any.
ALTER TABLE collections ADD COLUMN synonym_sets  TEXT   NOT NULL DEFAULT '';
ALTER TABLE collections ADD COLUMN curation_sets TEXT   NOT NULL DEFAULT '';
ALTER TABLE collections ADD COLUMN sets_version  BIGINT NOT NULL DEFAULT 1;

-- +goose Down
ALTER TABLE collections DROP COLUMN sets_version;
ALTER TABLE collections DROP COLUMN curation_sets;
ALTER TABLE collections DROP COLUMN synonym_sets;
DROP TABLE search_set_owners;
DROP TABLE search_sets;
