-- +goose Up
-- The documents of a collection are in a table of their own, documents_<key>, so that a collection is dropped at once and a broken page
-- harms one collection only.
CREATE TABLE collections (
    key         BIGINT NOT NULL PRIMARY KEY,
    schema      BLOB   NOT NULL,
    next_number BIGINT NOT NULL,
    commits     BIGINT NOT NULL
);

-- The number of the collection that comes next; a key is never given twice.
CREATE TABLE collection_keys (
    id       BIGINT NOT NULL PRIMARY KEY,
    next_key BIGINT NOT NULL
);
INSERT INTO collection_keys (id, next_key) VALUES (1, 1);

-- Which documents each commit wrote or removed, until the index holds them on disk.
CREATE TABLE changes (
    collection    BIGINT NOT NULL,
    commit_number BIGINT NOT NULL,
    numbers       BLOB   NOT NULL,
    PRIMARY KEY (collection, commit_number)
);

-- +goose Down
DROP TABLE changes;
DROP TABLE collection_keys;
DROP TABLE collections;
