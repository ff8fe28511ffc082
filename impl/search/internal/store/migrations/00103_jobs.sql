-- +goose Up
-- Changes of documents that are carried out in the background. whose is the tenant or the caller that is counted for it; reach the tenant whose documents it may
-- change, '*' for those of every tenant. While it is received, the lease is that of whoever receives it. Whoever has the lease of a queued or running one works on it.
CREATE TABLE jobs (
    id           TEXT   NOT NULL PRIMARY KEY,
    tenant       TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    claimed_at   BIGINT NOT NULL,
    whose        TEXT   NOT NULL,
    reach        TEXT   NOT NULL,
    state        TEXT   NOT NULL,
    items        BIGINT NOT NULL,
    bytes        BIGINT NOT NULL,
    parts        BIGINT NOT NULL,
    next_part    BIGINT NOT NULL,
    succeeded    BIGINT NOT NULL,
    failed       BIGINT NOT NULL,
    failure      TEXT   NOT NULL,
    reason       TEXT   NOT NULL,
    attempts     BIGINT NOT NULL,
    lease        TEXT   NOT NULL,
    leased_until BIGINT NOT NULL,
    due_at       BIGINT NOT NULL,
    accepted_at  BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    changed_at   BIGINT NOT NULL,
    ended_at     BIGINT NOT NULL
);
CREATE INDEX jobs_of_collections ON jobs (tenant, name, claimed_at, id);

-- The items that wait, in their order; first is the place of the first one, from 1.
CREATE TABLE job_parts (
    job   TEXT   NOT NULL,
    part  BIGINT NOT NULL,
    first BIGINT NOT NULL,
    items BLOB   NOT NULL,
    PRIMARY KEY (job, part)
);

CREATE TABLE job_failures (
    job     TEXT   NOT NULL,
    item    BIGINT NOT NULL,
    id      TEXT   NOT NULL,
    tenant  TEXT   NOT NULL,
    code    TEXT   NOT NULL,
    message TEXT   NOT NULL,
    PRIMARY KEY (job, item)
);

-- Whoever takes room for what waits locks the row.
CREATE TABLE job_room (
    id    TEXT   NOT NULL PRIMARY KEY,
    taken BIGINT NOT NULL
);
INSERT INTO job_room (id, taken) VALUES ('jobs', 0);

-- +goose Down
DROP TABLE job_room;
DROP TABLE job_failures;
DROP TABLE job_parts;
DROP TABLE jobs;
