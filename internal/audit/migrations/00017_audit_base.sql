-- +goose Up
CREATE TABLE audit_base (
  id          BIGINT PRIMARY KEY, -- one row, 1: its lock is what serialises the removal of archived events
  seq         BIGINT NOT NULL,    -- of the last event that was archived and removed; 0: none was
  hash        BLOB,               -- of that event: what the first stored one follows
  target_seq  BIGINT NOT NULL,    -- up to which event an archive was ordered; those in between are being removed
  target_hash BLOB,
  key_id      BIGINT NOT NULL,    -- the key that summed the row; 0: nothing was ever ordered
  mac         BLOB                -- of the four before
);
INSERT INTO audit_base (id, seq, target_seq, key_id) VALUES (1, 0, 0, 0);

-- +goose Down
DROP TABLE audit_base;
