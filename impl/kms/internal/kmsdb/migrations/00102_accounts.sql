-- +goose Up

-- A deleted user's row stays, so that the username never means somebody else.
ALTER TABLE users ADD COLUMN deleted_at BIGINT;

-- Single-use tokens by which a user chooses a new password.
CREATE TABLE password_resets (
  hash BLOB PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id),
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at BIGINT,
  superseded_at BIGINT
);
CREATE INDEX password_resets_user ON password_resets (user_id);
CREATE INDEX password_resets_expiry ON password_resets (expires_at);

-- +goose Down
DROP TABLE password_resets;
ALTER TABLE users DROP COLUMN deleted_at;
