-- +goose Up
CREATE TABLE audit_head (
  id   BIGINT PRIMARY KEY, -- one row, 1: its lock is what serialises the chain
  seq  BIGINT NOT NULL,    -- of the newest event
  hash BLOB                -- of the newest event; none before the first
);
INSERT INTO audit_head (id, seq) VALUES (1, 0);

CREATE TABLE audit_events (
  seq       BIGINT PRIMARY KEY,
  at        BIGINT NOT NULL, -- this and the three below repeat what body says, for the indexes
  action    TEXT   NOT NULL,
  actor     TEXT   NOT NULL,
  target    TEXT   NOT NULL,
  body      BLOB   NOT NULL, -- the event as JSON: these bytes are what is hashed
  prev_hash BLOB   NOT NULL UNIQUE, -- two events cannot follow the same one
  hash      BLOB   NOT NULL
);
CREATE INDEX audit_events_action ON audit_events (action, seq);
CREATE INDEX audit_events_actor ON audit_events (actor, seq);
CREATE INDEX audit_events_target ON audit_events (target, seq);
CREATE INDEX audit_events_at ON audit_events (at);

-- +goose Down
DROP TABLE audit_events;
DROP TABLE audit_head;
