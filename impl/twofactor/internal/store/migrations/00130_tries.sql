-- +goose Up

-- Wrong codes are counted for the subject, not for each factor: a code names none. full_at is when the store of guesses is full again.
ALTER TABLE subjects ADD COLUMN wrong BIGINT NOT NULL DEFAULT 0;
ALTER TABLE subjects ADD COLUMN locked_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE subjects ADD COLUMN full_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE subjects ADD COLUMN run BIGINT NOT NULL DEFAULT 0;
ALTER TABLE subjects ADD COLUMN run_session TEXT NOT NULL DEFAULT '';
UPDATE factors SET attempts = 0, locked_until = 0 WHERE status = 'active'; -- from here on these two are of pending factors alone

-- The offset of the last accepted code from the server's step: drift moves towards one that was seen twice.
ALTER TABLE factors ADD COLUMN last_offset BIGINT NOT NULL DEFAULT 0;

-- Which session gave the code.
ALTER TABLE used_steps ADD COLUMN session TEXT NOT NULL DEFAULT '';

-- Wrong codes of sessions that had given a right one, while their subject was locked.
CREATE TABLE session_tries (
    subject TEXT NOT NULL,
    session TEXT NOT NULL,
    wrong   BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    PRIMARY KEY (subject, session)
);
CREATE INDEX session_tries_by_time ON session_tries (last_at);

DROP TABLE decoys;

-- +goose Down
CREATE TABLE decoys (
    id          TEXT NOT NULL PRIMARY KEY,
    sealed_seed BLOB NOT NULL,
    attempts    BIGINT NOT NULL
);
DROP TABLE session_tries;
ALTER TABLE used_steps DROP COLUMN session;
ALTER TABLE factors DROP COLUMN last_offset;
ALTER TABLE subjects DROP COLUMN run_session;
ALTER TABLE subjects DROP COLUMN run;
ALTER TABLE subjects DROP COLUMN full_at;
ALTER TABLE subjects DROP COLUMN locked_until;
ALTER TABLE subjects DROP COLUMN wrong;
