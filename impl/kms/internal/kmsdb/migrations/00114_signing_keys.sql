-- +goose Up

-- The one row that serialises what changes signing keys. turns counts it.
CREATE TABLE signing_rotation (
  id BIGINT PRIMARY KEY CHECK (id = 1),
  turns BIGINT NOT NULL
);
INSERT INTO signing_rotation (id, turns) VALUES (1, 0);

-- When an administrator revoked the key; absent: its time was over.
ALTER TABLE signing_keys ADD COLUMN revoked_at BIGINT;

-- +goose Down
ALTER TABLE signing_keys DROP COLUMN revoked_at;
DROP TABLE signing_rotation;
