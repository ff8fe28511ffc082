-- +goose Up

-- A delivery that brings no code but tells its owner what was done to the factors: no challenge, and in sealed_code the target, as its factor had it
-- sealed, for the factor may be gone when it is sent.
ALTER TABLE deliveries ADD COLUMN notice TEXT NOT NULL DEFAULT '';

-- +goose Down
DELETE FROM deliveries WHERE notice <> '';
ALTER TABLE deliveries DROP COLUMN notice;
