-- +goose Up
-- One row that readiness writes and reads: see DB.Prove.
CREATE TABLE store_proof (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    proved_at BIGINT  NOT NULL
);

-- +goose Down
DROP TABLE store_proof;
