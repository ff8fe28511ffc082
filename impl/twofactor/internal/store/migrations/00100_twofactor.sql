-- +goose Up

-- One row for each person who ever changed factors. Whoever changes a subject's factors changes this row first, so that
-- counts and step-up decisions about one subject are made one after the other.
CREATE TABLE subjects (
    subject TEXT NOT NULL PRIMARY KEY,
    changes BIGINT NOT NULL
);

-- Times are microseconds since 1970; 0 is never.
CREATE TABLE factors (
    id           TEXT NOT NULL PRIMARY KEY,
    subject      TEXT NOT NULL,
    type         TEXT NOT NULL,
    label        TEXT NOT NULL,
    status       TEXT NOT NULL CHECK (status IN ('pending', 'active', 'revoked')),
    sealed_seed  BLOB NOT NULL,      -- associated data: id and subject, so that a copied row does not open
    algorithm    TEXT NOT NULL,
    digits       BIGINT NOT NULL,
    period       BIGINT NOT NULL,    -- seconds
    last_step    BIGINT NOT NULL,    -- the newest step that was accepted; only ever grows
    drift        BIGINT NOT NULL,    -- steps by which the device's clock is off
    attempts     BIGINT NOT NULL,    -- since the last right code, the running one included
    locked_until BIGINT NOT NULL,
    stepped_up   BIGINT NOT NULL,    -- 1: enrolled with a code of another factor
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,    -- of the enrolment
    confirmed_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    revoked_at   BIGINT NOT NULL
);
CREATE INDEX factors_of_subject ON factors (subject, created_at, id);
CREATE INDEX factors_by_status ON factors (status, expires_at);

-- The seed that is tried for a subject who has none, so that the answer takes the same work.
CREATE TABLE decoys (
    id          TEXT NOT NULL PRIMARY KEY,
    sealed_seed BLOB NOT NULL,
    attempts    BIGINT NOT NULL
);

-- The keys that sign proofs, shared by all replicas; one is current.
CREATE TABLE proof_keys (
    kid         TEXT NOT NULL PRIMARY KEY,
    sealed_seed BLOB NOT NULL,       -- associated data: kid
    current     BIGINT NOT NULL CHECK (current IN (0, 1)),
    created_at  BIGINT NOT NULL
);
CREATE UNIQUE INDEX proof_keys_one_current ON proof_keys (current) WHERE current = 1;

-- Raised when a backup was restored: no code of a step up to that time is accepted, whatever the restored rows say.
CREATE TABLE restore_mark (
    id         BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    not_before BIGINT NOT NULL
);
INSERT INTO restore_mark (id, not_before) VALUES (1, 0);

-- +goose Down
DROP TABLE restore_mark;
DROP TABLE proof_keys;
DROP TABLE decoys;
DROP TABLE factors;
DROP TABLE subjects;
