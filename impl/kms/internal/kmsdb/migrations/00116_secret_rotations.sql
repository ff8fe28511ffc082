-- +goose Up

-- How secrets are rotated, and the rotation that runs: step is the one that is next, '' when none runs. lease names who is at it, until due_at; then anybody may be.
CREATE TABLE secret_rotations (
  name TEXT PRIMARY KEY REFERENCES secrets (name),
  revision BIGINT NOT NULL,
  driver TEXT NOT NULL,
  length BIGINT NOT NULL,
  interval_seconds BIGINT NOT NULL,
  next_at BIGINT,
  step TEXT NOT NULL DEFAULT '' CHECK (step IN ('', 'create', 'set', 'test', 'finish')),
  version BIGINT,
  attempts BIGINT NOT NULL DEFAULT 0,
  lease TEXT NOT NULL DEFAULT '',
  due_at BIGINT,
  started_at BIGINT,
  last_outcome TEXT NOT NULL DEFAULT '',
  last_version BIGINT,
  last_ended_at BIGINT
);
CREATE INDEX secret_rotations_due ON secret_rotations (due_at);
CREATE INDEX secret_rotations_next ON secret_rotations (next_at);

-- +goose Down
DROP TABLE secret_rotations;
