-- +goose Up
-- Whoever has the lease makes the collection; another request with the key has its turn when that is over.
ALTER TABLE creations ADD COLUMN lease        TEXT   NOT NULL DEFAULT '';
ALTER TABLE creations ADD COLUMN leased_until BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE creations DROP COLUMN leased_until;
ALTER TABLE creations DROP COLUMN lease;
