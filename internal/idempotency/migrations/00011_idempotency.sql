-- +goose Up
CREATE TABLE idempotency (
  principal   TEXT    NOT NULL, -- subject of the caller
  operation   TEXT    NOT NULL, -- operationId
  value       TEXT    NOT NULL, -- the Idempotency-Key header
  fingerprint BLOB    NOT NULL, -- MAC of path and body
  secret      BOOLEAN NOT NULL, -- the answer holds a secret and is blanked early
  answer      BLOB,             -- sealed; empty before the claim's own commit and after blanking
  created_at  BIGINT  NOT NULL,
  PRIMARY KEY (principal, operation, value)
);
CREATE INDEX idempotency_created_at ON idempotency (created_at);

-- +goose Down
DROP TABLE idempotency;
