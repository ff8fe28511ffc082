-- +goose Up

-- Web apps where people sign in. secret_hash is the hash of a confidential client's secret, NULL for a public one. The lists are words with spaces between.
CREATE TABLE clients (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  secret_hash BLOB,
  redirect_uris TEXT NOT NULL,
  post_logout_redirect_uris TEXT NOT NULL,
  scopes TEXT NOT NULL,
  trusted BIGINT NOT NULL CHECK (trusted IN (0, 1)),
  version BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);

-- What people have agreed to.
CREATE TABLE consents (
  user_id TEXT NOT NULL REFERENCES users (id),
  client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  scopes TEXT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (user_id, client_id)
);
CREATE INDEX consents_client ON consents (client_id);

-- Authorization codes by their hash, with all that they are bound to. sid is the person's session. gave is the session of the client that the code was
-- traded for.
CREATE TABLE authorization_codes (
  hash BLOB PRIMARY KEY,
  client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  sid TEXT NOT NULL REFERENCES refresh_families (sid) ON DELETE CASCADE,
  redirect_uri TEXT NOT NULL,
  challenge TEXT NOT NULL,
  nonce TEXT NOT NULL,
  scopes TEXT NOT NULL,
  acr TEXT NOT NULL,
  amr TEXT NOT NULL,
  factor TEXT NOT NULL,
  auth_time BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at BIGINT,
  gave TEXT
);
CREATE INDEX authorization_codes_client ON authorization_codes (client_id);
CREATE INDEX authorization_codes_sid ON authorization_codes (sid);
CREATE INDEX authorization_codes_expiry ON authorization_codes (expires_at);

-- What a client got by a code is a session of its own: parent is the person's session, with which it ends; scopes are what was granted.
ALTER TABLE refresh_families ADD COLUMN parent TEXT NOT NULL DEFAULT '';
ALTER TABLE refresh_families ADD COLUMN scopes TEXT NOT NULL DEFAULT '';
CREATE INDEX refresh_families_parent ON refresh_families (parent);
CREATE INDEX refresh_families_client ON refresh_families (client_id);

-- +goose Down
DROP INDEX refresh_families_client;
DROP INDEX refresh_families_parent;
ALTER TABLE refresh_families DROP COLUMN scopes;
ALTER TABLE refresh_families DROP COLUMN parent;
DROP TABLE authorization_codes;
DROP TABLE consents;
DROP TABLE clients;
