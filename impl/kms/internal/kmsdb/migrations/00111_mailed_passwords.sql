-- +goose Up

-- Whether a token to choose a password went by mail, and whether the password that a user has was chosen by such a token: then who reads their mail may know it.
ALTER TABLE password_resets ADD COLUMN mailed BIGINT NOT NULL DEFAULT 1 CHECK (mailed IN (0, 1));
ALTER TABLE users ADD COLUMN password_mailed BIGINT NOT NULL DEFAULT 0 CHECK (password_mailed IN (0, 1));
UPDATE users SET password_mailed = 1 WHERE id IN (SELECT user_id FROM mails WHERE kind IN ('password_reset', 'forgotten_password'));

-- +goose Down
ALTER TABLE users DROP COLUMN password_mailed;
ALTER TABLE password_resets DROP COLUMN mailed;
