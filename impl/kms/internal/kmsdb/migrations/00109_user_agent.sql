-- +goose Up

-- What the client called itself at the sign-in: people tell their sessions apart by it.
ALTER TABLE refresh_families ADD COLUMN user_agent TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE refresh_families DROP COLUMN user_agent;
