-- +goose Up

-- Factors of the types email, sms and webhook keep their target where others keep their seed: sealed, gone when the factor is revoked.
ALTER TABLE factors ADD COLUMN target_sum TEXT NOT NULL DEFAULT '';    -- keyed hash of the target, hex
ALTER TABLE factors ADD COLUMN masked_target TEXT NOT NULL DEFAULT ''; -- what its owner is shown of it
ALTER TABLE factors ADD COLUMN raises BIGINT NOT NULL DEFAULT 1;       -- 1: codes of it raise a session. The settings decide for each type

-- Codes that were sent, each for one subject, client and purpose. Times are microseconds since 1970; 0 is never.
CREATE TABLE challenges (
    id               TEXT NOT NULL PRIMARY KEY,
    subject          TEXT NOT NULL,
    client           TEXT NOT NULL,      -- that asked for it: nobody else sees it
    purpose          TEXT NOT NULL,      -- enrol:<factor> for the first code of a factor
    channel          TEXT NOT NULL,      -- empty: the subject has no such factor, no code is right
    factor_id        TEXT NOT NULL,
    operation        TEXT NOT NULL,      -- the text that the message shows; empty for none
    code_sum         BLOB NOT NULL,      -- keyed hash of id and code
    status           TEXT NOT NULL CHECK (status IN ('open', 'verified', 'cancelled', 'replaced')),
    attempts         BIGINT NOT NULL,
    life             BIGINT NOT NULL,    -- of a code, from the provider's acceptance, in microseconds
    delivery_id      TEXT NOT NULL,      -- that brings the present code
    created_at       BIGINT NOT NULL,
    code_at          BIGINT NOT NULL,    -- when the present code was made
    expires_at       BIGINT NOT NULL,
    used_at          BIGINT NOT NULL
);
CREATE UNIQUE INDEX challenges_one_open ON challenges (subject, purpose) WHERE status = 'open';
CREATE INDEX challenges_by_time ON challenges (created_at);

-- Codes on their way, each written in the commit of its challenge, and what became of them.
CREATE TABLE deliveries (
    id           TEXT NOT NULL PRIMARY KEY,
    challenge_id TEXT NOT NULL,
    subject      TEXT NOT NULL,
    factor_id    TEXT NOT NULL,
    channel      TEXT NOT NULL,
    sealed_code  BLOB NOT NULL,          -- associated data: id and challenge; blanked when it is handed over or given up
    status       TEXT NOT NULL CHECK (status IN ('queued', 'sent', 'delivered', 'failed')),
    tries        BIGINT NOT NULL,
    lease        TEXT NOT NULL,          -- of the worker that sends it; empty for none
    due_at       BIGINT NOT NULL,        -- of the next try, or the end of the lease
    gives_up_at  BIGINT NOT NULL,
    provider     TEXT NOT NULL,
    provider_id  TEXT NOT NULL,
    reason       TEXT NOT NULL,          -- of the last failure
    created_at   BIGINT NOT NULL,
    sent_at      BIGINT NOT NULL,
    changed_at   BIGINT NOT NULL
);
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE status = 'queued';
CREATE INDEX deliveries_by_time ON deliveries (created_at, id);
CREATE INDEX deliveries_by_provider ON deliveries (provider_id) WHERE provider_id <> '';

-- How often something was done in a window of time, where a limit must outlive restarts and hold for all replicas.
CREATE TABLE send_counters (
    kind    TEXT NOT NULL,
    key     TEXT NOT NULL,               -- keyed hash of what is counted, hex
    begins  BIGINT NOT NULL,
    ends    BIGINT NOT NULL,
    n       BIGINT NOT NULL,
    PRIMARY KEY (kind, key, begins)
);
CREATE INDEX send_counters_by_end ON send_counters (ends);

-- +goose Down
DROP TABLE send_counters;
DROP TABLE deliveries;
DROP TABLE challenges;
DELETE FROM factors WHERE type <> 'totp';
ALTER TABLE factors DROP COLUMN raises;
ALTER TABLE factors DROP COLUMN masked_target;
ALTER TABLE factors DROP COLUMN target_sum;
