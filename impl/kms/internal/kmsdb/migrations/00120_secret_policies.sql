-- +goose Up

-- Who may do what with which secrets. subject is the name of a role, the id of a user or service, or * for every service. path is the beginning of names by whole words, * for all, or {service} for
-- the name of the service that asks. Nothing is allowed that no row allows.
CREATE TABLE secret_policies (
  name TEXT PRIMARY KEY,
  subject_kind TEXT NOT NULL CHECK (subject_kind IN ('role', 'user', 'service')),
  subject TEXT NOT NULL,
  path TEXT NOT NULL,
  capabilities TEXT NOT NULL,
  version BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE INDEX secret_policies_subject ON secret_policies (subject_kind, subject, path);

-- What held before there were policies. Administrators may remove both.
INSERT INTO secret_policies (name, subject_kind, subject, path, capabilities, version, created_at, updated_at) VALUES
  ('administrators', 'role', 'admin', '*', 'list read write delete destroy rotate', 1, 1795996800000000, 1795996800000000),
  ('own-secrets', 'service', '*', '{service}', 'list read write delete destroy rotate', 1, 1795996800000000, 1795996800000000);

-- +goose Down
DROP TABLE secret_policies;
