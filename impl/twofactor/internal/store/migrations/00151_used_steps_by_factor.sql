-- +goose Up

-- Every accepted code writes one row here: it is one tree now, of the key, where it was three. What is old is found by reading through it now and then.
CREATE TABLE used_steps_of_factors (
    factor_id TEXT NOT NULL,
    step      BIGINT NOT NULL,
    used_at   BIGINT NOT NULL,
    session   TEXT NOT NULL,
    PRIMARY KEY (factor_id, step)
) WITHOUT ROWID;
INSERT INTO used_steps_of_factors (factor_id, step, used_at, session) SELECT factor_id, step, used_at, session FROM used_steps;
DROP TABLE used_steps;
ALTER TABLE used_steps_of_factors RENAME TO used_steps;

-- +goose Down
CREATE INDEX used_steps_by_time ON used_steps (used_at);
