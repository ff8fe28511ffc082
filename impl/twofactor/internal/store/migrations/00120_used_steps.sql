-- +goose Up

-- The steps whose code was accepted, for two days. last_step alone forgets them when the clock was ahead and is set right.
CREATE TABLE used_steps (
    factor_id TEXT NOT NULL,
    step      BIGINT NOT NULL,
    used_at   BIGINT NOT NULL,
    PRIMARY KEY (factor_id, step)
);
CREATE INDEX used_steps_by_time ON used_steps (used_at);

-- +goose Down
DROP TABLE used_steps;
