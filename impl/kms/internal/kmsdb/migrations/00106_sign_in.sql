-- +goose Up

-- A session waits (1) from the password until the second factor, where a role asks for one at sign-in. acr, amr, factor and raised_at (microseconds) are
-- those of the second factor that ended the sign-in, or of the passkey that was all of it; '' and 0 where a password was all.
ALTER TABLE refresh_families ADD COLUMN waiting BIGINT NOT NULL DEFAULT 0;
ALTER TABLE refresh_families ADD COLUMN acr TEXT NOT NULL DEFAULT '';
ALTER TABLE refresh_families ADD COLUMN amr TEXT NOT NULL DEFAULT '';
ALTER TABLE refresh_families ADD COLUMN factor TEXT NOT NULL DEFAULT '';
ALTER TABLE refresh_families ADD COLUMN raised_at BIGINT NOT NULL DEFAULT 0;

-- What second factor a role asks for, the release's roles too; a role without a row asks for what operations ask for. factors are words, '' for all; max_age
-- is in seconds, 0 for the whole life of a session.
CREATE TABLE role_policies (
  role TEXT PRIMARY KEY,
  always BIGINT NOT NULL CHECK (always IN (0, 1)),
  factors TEXT NOT NULL,
  max_age BIGINT NOT NULL,
  version BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE role_policies;
ALTER TABLE refresh_families DROP COLUMN raised_at;
ALTER TABLE refresh_families DROP COLUMN factor;
ALTER TABLE refresh_families DROP COLUMN amr;
ALTER TABLE refresh_families DROP COLUMN acr;
ALTER TABLE refresh_families DROP COLUMN waiting;
