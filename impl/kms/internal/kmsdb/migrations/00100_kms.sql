-- +goose Up

-- After a backup was restored, nothing made before not_before works: refresh families, enrolment and bootstrap tokens, API
-- keys, proof keys. Zero until then.
CREATE TABLE restore_mark (
  id BIGINT PRIMARY KEY CHECK (id = 1),
  not_before BIGINT NOT NULL
);
INSERT INTO restore_mark (id, not_before) VALUES (1, 0);

-- What is fixed at the first start: the issuer.
CREATE TABLE settings (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
);

-- Tink keysets, each sealed under the root key named by root_id.
CREATE TABLE keysets (
  name TEXT PRIMARY KEY,
  root_id TEXT NOT NULL,
  sealed BLOB NOT NULL,
  created_at BIGINT NOT NULL
);

-- A key is next from published_at, active from active_at, retiring from retiring_at, gone from gone_at. Which of them it is now is
-- computed from the clock when it is asked for; an absent time is not reached.
CREATE TABLE signing_keys (
  kid TEXT PRIMARY KEY,
  alg TEXT NOT NULL,
  public_key BLOB NOT NULL,
  sealed_private BLOB,
  published_at BIGINT NOT NULL,
  active_at BIGINT,
  retiring_at BIGINT,
  gone_at BIGINT
);

-- How many active users are administrators: the one row that serialises the first and guards the last.
CREATE TABLE administration (
  id BIGINT PRIMARY KEY CHECK (id = 1),
  active BIGINT NOT NULL CHECK (active >= 0)
);
INSERT INTO administration (id, active) VALUES (1, 0);

CREATE TABLE bootstrap_tokens (
  hash BLOB PRIMARY KEY,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at BIGINT
);

CREATE TABLE users (
  id TEXT PRIMARY KEY,
  username TEXT NOT NULL UNIQUE,
  password_hash TEXT NOT NULL,
  roles TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('active', 'disabled')),
  version BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);

-- Failed sign-ins by the hash of the canonical name that was typed, known or not.
CREATE TABLE login_guard (
  identity BLOB PRIMARY KEY,
  failures BIGINT NOT NULL,
  locked_until BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE INDEX login_guard_updated ON login_guard (updated_at);

CREATE TABLE refresh_families (
  sid TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id),
  client_id TEXT NOT NULL,
  auth_time BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_at BIGINT,
  revoked_for TEXT
);
CREATE INDEX refresh_families_user ON refresh_families (user_id);
CREATE INDEX refresh_families_expiry ON refresh_families (expires_at);

CREATE TABLE refresh_tokens (
  hash BLOB PRIMARY KEY,
  sid TEXT NOT NULL REFERENCES refresh_families (sid) ON DELETE CASCADE,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at BIGINT,
  successor_sealed BLOB,
  successor_until BIGINT
);
CREATE INDEX refresh_tokens_sid ON refresh_tokens (sid);

CREATE TABLE services (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  scopes TEXT NOT NULL,
  family BIGINT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('active', 'disabled')),
  version BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);

CREATE TABLE enrolment_tokens (
  hash BLOB PRIMARY KEY,
  service_id TEXT NOT NULL REFERENCES services (id),
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at BIGINT,
  superseded_at BIGINT
);
CREATE INDEX enrolment_tokens_service ON enrolment_tokens (service_id);

-- hash is the keyed sum of the key's text; the text itself is nowhere. follows_owner: the scopes are whatever the owner has.
CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  name TEXT NOT NULL,
  start TEXT NOT NULL,
  owner_kind TEXT NOT NULL CHECK (owner_kind IN ('user', 'service')),
  owner_id TEXT NOT NULL,
  scopes TEXT NOT NULL,
  follows_owner BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  last_used_at BIGINT,
  revoked_at BIGINT,
  revoked_for TEXT,
  replaced_by TEXT,
  replaced_at BIGINT
);
CREATE INDEX api_keys_owner ON api_keys (owner_kind, owner_id);

CREATE TABLE secrets (
  name TEXT PRIMARY KEY,
  version BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);

-- Each version is sealed by a data key of its own, and that by the keyset "secrets".
CREATE TABLE secret_versions (
  name TEXT NOT NULL REFERENCES secrets (name),
  version BIGINT NOT NULL,
  wrapped_key BLOB NOT NULL,
  sealed BLOB NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (name, version)
);

CREATE TABLE proof_keys (
  kid TEXT PRIMARY KEY,
  public_key BLOB NOT NULL,
  service_id TEXT NOT NULL REFERENCES services (id),
  registered_at BIGINT NOT NULL
);

-- The proofs that were traded; a second one of the same jti is refused.
CREATE TABLE proofs (
  jti TEXT PRIMARY KEY,
  expires_at BIGINT NOT NULL
);
CREATE INDEX proofs_expiry ON proofs (expires_at);

-- +goose Down
DROP TABLE proofs;
DROP TABLE proof_keys;
DROP TABLE secret_versions;
DROP TABLE secrets;
DROP TABLE api_keys;
DROP TABLE enrolment_tokens;
DROP TABLE services;
DROP TABLE refresh_tokens;
DROP TABLE refresh_families;
DROP TABLE login_guard;
DROP TABLE users;
DROP TABLE bootstrap_tokens;
DROP TABLE administration;
DROP TABLE signing_keys;
DROP TABLE keysets;
DROP TABLE settings;
DROP TABLE restore_mark;
