-- +goose Up

-- Keyrings that administrators make. version is what an ETag tells; current is the key that encrypts, sums and signs; older ones down to min_version still open and verify.
CREATE TABLE keyrings (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  algorithm TEXT NOT NULL CHECK (algorithm IN ('AES-256-GCM', 'HMAC-SHA256', 'EdDSA', 'ES256')),
  version BIGINT NOT NULL,
  current BIGINT NOT NULL,
  min_version BIGINT NOT NULL,
  max_uses BIGINT NOT NULL,
  services TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  rotated_at BIGINT NOT NULL,
  delete_at BIGINT
);
CREATE INDEX keyrings_deletion ON keyrings (delete_at);

-- The keys of a keyring, each sealed by the key wrapped_by of the keyset "keyrings". uses counts what was reserved for encrypting, before it was used.
CREATE TABLE keyring_keys (
  keyring_id TEXT NOT NULL REFERENCES keyrings (id),
  number BIGINT NOT NULL,
  sealed BLOB NOT NULL,
  wrapped_by BIGINT NOT NULL,
  public_key BLOB NOT NULL,
  uses BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (keyring_id, number)
);
CREATE INDEX keyring_keys_wrapped ON keyring_keys (wrapped_by);

-- +goose Down
DROP TABLE keyring_keys;
DROP TABLE keyrings;
