-- +goose Up

-- The data key that the service seals with, wrapped by its keyring at the kms.
CREATE TABLE data_keys (
  keyring TEXT PRIMARY KEY,
  wrapped BLOB NOT NULL,
  created_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE data_keys;
