-- +goose Up

-- The kms's invitation with which an administrator enrolled; empty for everybody else.
ALTER TABLE factors ADD COLUMN invitation_id TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE factors DROP COLUMN invitation_id;
