-- +goose Up

-- Of drivers that put versions elsewhere: where, by which secret, and for how long the version before works on. collections and actions are lists with commas. last_error is why
-- the last attempt failed.
ALTER TABLE secret_rotations ADD COLUMN url TEXT NOT NULL DEFAULT '';
ALTER TABLE secret_rotations ADD COLUMN credential TEXT NOT NULL DEFAULT '';
ALTER TABLE secret_rotations ADD COLUMN overlap_seconds BIGINT NOT NULL DEFAULT 0;
ALTER TABLE secret_rotations ADD COLUMN collections TEXT NOT NULL DEFAULT '';
ALTER TABLE secret_rotations ADD COLUMN actions TEXT NOT NULL DEFAULT '';
ALTER TABLE secret_rotations ADD COLUMN last_error TEXT NOT NULL DEFAULT '';

-- Versions that may work elsewhere, with what ends them there. end_at is when that is tried; absent: not yet decided. held_until is the lease of who is at it.
CREATE TABLE secret_placements (
  name TEXT NOT NULL REFERENCES secrets (name),
  version BIGINT NOT NULL,
  driver TEXT NOT NULL,
  url TEXT NOT NULL,
  credential TEXT NOT NULL,
  placed_at BIGINT NOT NULL,
  end_at BIGINT,
  held_until BIGINT NOT NULL DEFAULT 0,
  attempts BIGINT NOT NULL DEFAULT 0,
  last_error TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (name, version)
);
CREATE INDEX secret_placements_end ON secret_placements (end_at);

-- +goose Down
DROP TABLE secret_placements;
ALTER TABLE secret_rotations DROP COLUMN last_error;
ALTER TABLE secret_rotations DROP COLUMN actions;
ALTER TABLE secret_rotations DROP COLUMN collections;
ALTER TABLE secret_rotations DROP COLUMN overlap_seconds;
ALTER TABLE secret_rotations DROP COLUMN credential;
ALTER TABLE secret_rotations DROP COLUMN url;
