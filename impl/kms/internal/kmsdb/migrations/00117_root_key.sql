-- +goose Up

-- The root key that seals keysets from now on, and the rotation that made it so: one row, whose lock orders rotations, new keysets and replicas that start. turns counts it.
-- active is '' until the first start after this migration.
CREATE TABLE root_key (
  id BIGINT PRIMARY KEY CHECK (id = 1),
  turns BIGINT NOT NULL,
  active TEXT NOT NULL,
  previous TEXT NOT NULL,
  rotated_at BIGINT,
  finished_at BIGINT
);
INSERT INTO root_key (id, turns, active, previous) VALUES (1, 0, '', '');

-- Which root keys the files of each running replica hold: ids with spaces between. fault says that a file was refused.
CREATE TABLE root_key_holders (
  replica TEXT PRIMARY KEY,
  root_keys TEXT NOT NULL,
  fault TEXT NOT NULL,
  seen_at BIGINT NOT NULL
);
CREATE INDEX keysets_root ON keysets (root_id);

-- +goose Down
DROP INDEX keysets_root;
DROP TABLE root_key_holders;
DROP TABLE root_key;
