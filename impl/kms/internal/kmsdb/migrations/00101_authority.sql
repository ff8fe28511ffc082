-- +goose Up

-- What ends all tokens of an owner raises its epoch; each access token carries the epoch of its making.
ALTER TABLE users ADD COLUMN token_epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE services ADD COLUMN token_epoch BIGINT NOT NULL DEFAULT 0;

-- The feed of what was ended before its time. A row is deleted when no token can exist any more that it ends.
CREATE TABLE revocations (
  position BIGINT PRIMARY KEY,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  at BIGINT NOT NULL,
  until BIGINT NOT NULL
);
CREATE INDEX revocations_until ON revocations (until);
CREATE INDEX revocations_id ON revocations (id);

-- The last position given out. Every ending locks this row last, so that positions become visible in their order. feed is made once, by the
-- first start: followers of another one begin again.
CREATE TABLE revocation_head (
  id BIGINT PRIMARY KEY CHECK (id = 1),
  feed TEXT NOT NULL,
  position BIGINT NOT NULL
);
INSERT INTO revocation_head (id, feed, position) VALUES (1, '', 0);

-- Keys that were made by rotation descend from another. granted_until is the end that was granted to the whole lineage by somebody who may
-- grant it: no rotation goes beyond. life is how long a key of the lineage was made to live, in microseconds.
ALTER TABLE api_keys ADD COLUMN parent_id TEXT;
ALTER TABLE api_keys ADD COLUMN root_id TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN granted_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN life BIGINT NOT NULL DEFAULT 0;
UPDATE api_keys SET parent_id = (SELECT MIN(p.id) FROM api_keys p WHERE p.replaced_by = api_keys.id);
WITH RECURSIVE lineage (id, root) AS (
  SELECT id, id FROM api_keys WHERE parent_id IS NULL
  UNION ALL
  SELECT k.id, l.root FROM api_keys k JOIN lineage l ON k.parent_id = l.id
)
UPDATE api_keys SET root_id = COALESCE((SELECT l.root FROM lineage l WHERE l.id = api_keys.id), id);
UPDATE api_keys SET life = CASE WHEN replaced_by IS NULL THEN expires_at - created_at ELSE 7776000000000 END;
-- Enrolled services may rotate their key for a year from its making; other keys end when they were to end.
UPDATE api_keys SET granted_until = CASE WHEN follows_owner = 1 THEN created_at + 31536000000000 ELSE created_at + life END;
UPDATE api_keys SET granted_until = expires_at WHERE granted_until < expires_at;
CREATE INDEX api_keys_parent ON api_keys (parent_id);
CREATE INDEX api_keys_expiry ON api_keys (expires_at);

-- Single-use tokens by which an administrator enrols a first second factor.
CREATE TABLE invitations (
  id TEXT PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  user_id TEXT NOT NULL REFERENCES users (id),
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_for TEXT,
  superseded_at BIGINT
);
CREATE INDEX invitations_user ON invitations (user_id);
CREATE INDEX invitations_expiry ON invitations (expires_at);

-- +goose Down
DROP TABLE invitations;
DROP INDEX api_keys_expiry;
DROP INDEX api_keys_parent;
ALTER TABLE api_keys DROP COLUMN life;
ALTER TABLE api_keys DROP COLUMN granted_until;
ALTER TABLE api_keys DROP COLUMN root_id;
ALTER TABLE api_keys DROP COLUMN parent_id;
DROP TABLE revocation_head;
DROP TABLE revocations;
ALTER TABLE services DROP COLUMN token_epoch;
ALTER TABLE users DROP COLUMN token_epoch;
