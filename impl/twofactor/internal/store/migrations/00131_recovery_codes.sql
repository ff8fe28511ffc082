-- +goose Up

-- Recovery codes, by their keyed hash (which covers the subject too). used_at is 0 while a code is good.
CREATE TABLE recovery_codes (
    hash       BLOB NOT NULL PRIMARY KEY,
    subject    TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL
);
CREATE INDEX recovery_codes_of_subject ON recovery_codes (subject);

-- +goose Down
DROP TABLE recovery_codes;
