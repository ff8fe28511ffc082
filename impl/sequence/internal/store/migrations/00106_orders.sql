-- +goose Up

-- How often the order of the group has changed: a walk that begins with one order does not go on with another.
ALTER TABLE counters ADD COLUMN orders BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE counters DROP COLUMN orders;
