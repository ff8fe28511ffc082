-- +goose Up
-- A keyed creation that was begun at the engine and not yet answered: its repeat knows that the collection is its own.
CREATE TABLE creations (
    principal  TEXT   NOT NULL,
    key        TEXT   NOT NULL,
    collection TEXT   NOT NULL,
    begun_at   BIGINT NOT NULL,
    PRIMARY KEY (principal, key)
);

-- +goose Down
DROP TABLE creations;
