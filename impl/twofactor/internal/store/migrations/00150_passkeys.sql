-- +goose Up

-- A passkey is a factor that keeps its public key where others keep their seed, sealed, and the keyed hash of its credential id where others keep that of
-- their target. While it waits for its confirmation, the sealed challenge is in the key's place.
ALTER TABLE factors ADD COLUMN sign_count BIGINT NOT NULL DEFAULT 0; -- the newest counter that a signature came with
CREATE UNIQUE INDEX factors_by_passkey ON factors (target_sum) WHERE type = 'passkey' AND status = 'active';

-- What passkeys of signed-in people are asked to sign, one for each session. Times are microseconds since 1970; 0 is never.
CREATE TABLE passkey_challenges (
    id         TEXT NOT NULL PRIMARY KEY,
    subject    TEXT NOT NULL,
    session    TEXT NOT NULL UNIQUE,
    challenge  BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL
);
CREATE INDEX passkey_challenges_by_time ON passkey_challenges (created_at);

-- The sign-ins that a passkey has answered. One that was only begun has no row.
CREATE TABLE passkey_sign_ins (
    id      TEXT NOT NULL PRIMARY KEY,
    ends_at BIGINT NOT NULL
);
CREATE INDEX passkey_sign_ins_by_end ON passkey_sign_ins (ends_at);

-- +goose Down
DROP TABLE passkey_sign_ins;
DROP TABLE passkey_challenges;
DELETE FROM factors WHERE type = 'passkey';
DROP INDEX factors_by_passkey;
ALTER TABLE factors DROP COLUMN sign_count;
